"""Feedback sent to the places that get spans, in the form that each of them has for it.

Source: the REST API of Phoenix (`POST /v1/span_annotations`), of LangSmith (`/feedback`; its client's
`langsmith_run_id_from_otel_span_id` tells the run's id there) and of Langfuse (`POST /api/public/scores`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID

import httpx

from core.errors import TransientError
from core.trust import system_trust
from observability.destinations import Destination, destinations, langsmith_itself
from observability.outlet import Outlet, RefusedError
from observability.redactor import redacted

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from core.database import Database
    from core.settings import Settings
    from observability.feedback import Feedback

TRIES: Final = 5
"""How often feedback is sent whose run the place does not know yet, or whose spans are not stored yet."""
_UNKNOWN: Final = 404
_LATER: Final = frozenset({429, 502, 503, 504})
_PAUSES_S: Final = (0.2, 0.6)
"""Places store spans in the background: how long one that does not know a run is given, before it is left for
later."""
_TIMEOUT_S: Final = 10.0
_ROOT: LiteralString = """
select trace_id, span_id from boring.span
where run_id = %s and operation = 'invoke_agent' and parent_id is null
order by started_at desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Root:
    """The span that feedback is about: that of the invocation which came to the answer."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a place.

    Attributes:
        otherwise: where it does not know what is to be changed.
    """

    method: str
    url: str
    body: Mapping[str, Any]
    otherwise: Call | None = None


Form = Callable[[str, "Feedback", Root], Call]
"""Returns the request that tells a place, by the address that its spans go to."""


def phoenix(address: str, one: Feedback, root: Root) -> Call:
    """Return the annotation of a span."""
    result = {"score": one.score, "label": _label(one), "explanation": _words(one)}
    annotation = {
        "span_id": root.span_id,
        "name": one.key,
        "annotator_kind": "HUMAN",
        "identifier": str(one.id),
        "result": {name: held for name, held in result.items() if held is not None},
        "metadata": {"run_id": one.run_id, "source": one.source},
    }
    url = f"{address.removesuffix('/v1/traces')}/v1/span_annotations"
    return Call("POST", url, {"data": [annotation]})


def langsmith(address: str, one: Feedback, root: Root) -> Call:
    """Return the feedback on a run; that which takes the place of another one has its id."""
    return _langsmith(
        f"{address.removesuffix('/otel/v1/traces')}/feedback", one, UUID(int=int(root.span_id, 16))
    )


def native_langsmith(address: str, one: Feedback, root: Root) -> Call:
    """Return the feedback on a run that LangSmith's own client has traced, under its own id."""
    del root
    try:
        run_id = UUID(one.run_id)
    except ValueError:
        raise RefusedError("the run's id is none of LangSmith's") from None
    return _langsmith(address, one, run_id)


def _langsmith(url: str, one: Feedback, run_id: UUID) -> Call:
    body = {
        "id": str(one.id),
        "run_id": str(run_id),
        "key": one.key,
        "score": one.score,
        "comment": one.comment and redacted(one.comment),
        "correction": one.correction and {"answer": redacted(one.correction)},
        "feedback_source": {"type": "api", "metadata": {"run_id": one.run_id, "source": one.source}},
    }
    new = Call("POST", url, {name: held for name, held in body.items() if held is not None})
    if one.updated_at <= one.created_at:
        return new
    changed = {name: body[name] for name in ("score", "comment", "correction")}
    return Call("PATCH", f"{url}/{one.id}", changed, otherwise=new)


def langfuse(address: str, one: Feedback, root: Root) -> Call:
    """Return the score of a trace; without a score it is a text."""
    told: dict[str, Any] = {"value": one.score, "dataType": "NUMERIC"}
    if one.score is None:
        told = {"value": "comment", "dataType": "CATEGORICAL"}
    body = {
        "id": str(one.id),
        "traceId": root.trace_id,
        "observationId": root.span_id,
        "name": one.key,
        "comment": _words(one),
        "metadata": {"run_id": one.run_id, "source": one.source},
        **told,
    }
    url = f"{address.removesuffix('/otel/v1/traces')}/scores"
    return Call("POST", url, {name: held for name, held in body.items() if held is not None})


_FORMS: Final[Mapping[str, Form]] = {
    "phoenix": phoenix,
    "langsmith": langsmith,
    "langfuse": langfuse,
    "langsmith itself": native_langsmith,
}
"""OTLP itself has no form for feedback."""


class UnknownRunError(TransientError):
    """A place does not know a run, or not yet."""


class FeedbackSender:
    """Sends feedback to one place, after the spans that it is about."""

    def __init__(
        self,
        to: Destination,
        database: Database,
        client: httpx.AsyncClient,
        *,
        spans: Outlet[ReadableSpan] | None = None,
    ) -> None:
        self._to = to
        self._form = _FORMS[to.name]
        self._database = database
        self._spans = spans
        self._client = client
        self._tries: dict[UUID, int] = {}

    async def deliver(self, batch: Sequence[Feedback]) -> int:
        """Send a batch; return how many of it were not taken.

        What was taken before one that is to be sent later is sent again with it; its id tells the place so.

        Raises:
            TransientError: the place can't be reached, or does not know a run yet.
            RefusedError: it takes none of it.
        """
        if self._spans is not None:
            await self._spans.flush()
        refused: list[str] = []
        for one in batch:
            try:
                await self._send(one)
            except UnknownRunError as error:
                self._tries[one.id] = self._tries.get(one.id, 0) + 1
                if self._tries[one.id] < TRIES:
                    raise
                refused.append(str(error))
            except RefusedError as error:
                refused.append(str(error))
            self._tries.pop(one.id, None)
        if len(refused) == len(batch):
            raise RefusedError(refused[0])
        return len(refused)

    async def _send(self, one: Feedback) -> None:
        root = None
        for pause_s in (*_PAUSES_S, 0):
            root = await self._root(one.run_id)
            if root is not None and await self._taken(self._form(self._to.url, one, root)):
                return
            await asyncio.sleep(pause_s)
        raise UnknownRunError("it does not know the run" if root else "no spans are kept of the run")

    async def _taken(self, call: Call) -> bool:
        """Send it; return whether the place knows the run."""
        status = await self._status(call)
        if status in _LATER:
            raise TransientError(f"HTTP {status}")
        if status != _UNKNOWN and not httpx.codes.is_success(status):
            raise RefusedError(f"HTTP {status}")
        return status != _UNKNOWN

    async def _status(self, call: Call) -> int:
        try:
            reply = await self._client.request(
                call.method, call.url, json=call.body, headers={**self._to.headers}
            )
        except httpx.HTTPError as error:
            raise TransientError(type(error).__name__) from error
        if reply.status_code == _UNKNOWN and call.otherwise is not None:
            return await self._status(call.otherwise)
        return reply.status_code

    async def _root(self, run_id: str) -> Root | None:
        async with self._database.pool.connection() as connection:
            row = await (await connection.execute(_ROOT, (run_id,))).fetchone()
        return Root(**row) if row else None


@asynccontextmanager
async def feedback_outlets(
    settings: Settings, database: Database, spans: Mapping[str, Outlet[ReadableSpan]]
) -> AsyncGenerator[list[Outlet[Feedback]]]:
    """Yield the queues before the places that take feedback; nobody has opened them yet.

    Args:
        settings: name the places.
        database: holds the spans.
        spans: the queues of spans by the names of their places.
    """
    places = [place for place in destinations(settings) if place.name in _FORMS]
    if settings.langsmith_tracing:
        places.append(langsmith_itself(settings))
    if not places:
        yield []
        return
    trust = await asyncio.to_thread(system_trust)
    async with httpx.AsyncClient(verify=trust, timeout=_TIMEOUT_S) as client:
        yield [
            Outlet(
                f"{place.name} (feedback)",
                FeedbackSender(place, database, client, spans=spans.get(place.name)).deliver,
                what="ratings",
            )
            for place in places
        ]


def _label(one: Feedback) -> str | None:
    """Return what thumbs say."""
    return None if one.score is None else {0.0: "thumbs_down", 1.0: "thumbs_up"}.get(one.score)


def _words(one: Feedback) -> str | None:
    """Return the comment and the correction without private data."""
    told = [one.comment or "", f"Correction: {one.correction}" if one.correction else ""]
    return redacted("\n".join(filter(None, told))) or None
