"""Feedback sent to the places that get spans, after the spans that it is about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, LiteralString
from uuid import UUID

import httpx

from core.errors import TransientError
from core.trust import system_trust
from observability import names
from observability.destinations import Destination, destinations, langsmith_itself
from observability.feedback_forms import FORMS, Call, Root
from observability.outlet import Outlet, RefusedError

if TYPE_CHECKING:
    from datetime import datetime

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
_ROOT: LiteralString = f"""
select trace_id, span_id, started_at, attributes ->> '{names.LANGSMITH_RUN}' as langsmith_run from boring.span
where run_id = %s and operation = 'invoke_agent' and parent_id is null
order by started_at desc limit 1
"""  # noqa: S608 - a constant


_Version = tuple[UUID, "datetime"]
"""What names feedback until it is replaced."""


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
        self._form = FORMS[to.name]
        self._database = database
        self._spans = spans
        self._client = client
        self._tries: dict[_Version, int] = {}
        self._settled: dict[_Version, str] = {}
        self._project: str | None = None

    async def deliver(self, batch: Sequence[Feedback]) -> int:
        """Send a batch; return how many of it were not taken.

        What a place has taken or refused is not sent again when the batch comes again for the sake of others.

        Raises:
            TransientError: the place can't be reached, or does not know a run yet.
            RefusedError: it takes none of it.
        """
        if self._spans is not None:
            await self._spans.flush()
        newest = {one.id: one for one in batch}
        versions = [(one.id, one.updated_at) for one in newest.values()]
        self._settled = {one: why for one in versions if (why := self._settled.get(one)) is not None}
        self._tries = {one: tries for one in versions if (tries := self._tries.get(one))}
        unknown = [error for one in newest.values() if (error := await self._settle(one))]
        if unknown:
            raise unknown[0]
        refused = [why for why in self._settled.values() if why]
        if len(refused) == len(newest):
            raise RefusedError(refused[0])
        return len(refused)

    async def _settle(self, one: Feedback) -> UnknownRunError | None:
        """Send one, unless it is settled; return what is wrong if it is to be sent later."""
        version = one.id, one.updated_at
        if version in self._settled:
            return None
        why = ""
        try:
            await self._send(one)
        except UnknownRunError as error:
            self._tries[version] = self._tries.get(version, 0) + 1
            if self._tries[version] < TRIES:
                return error
            why = str(error)
        except RefusedError as error:
            why = str(error)
        self._settled[version] = why
        return None

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
        return Root(**row, project=await self._found_project()) if row else None

    async def _found_project(self) -> str | None:
        """Return the id of the project that LangSmith keeps the runs in; None where it does not tell."""
        if self._project is None and self._to.project is not None:
            url, name = self._to.project
            asked = {"name": name, "limit": "1"}
            try:
                reply = await self._client.get(url, params=asked, headers={**self._to.headers})
                [found] = reply.json() if reply.is_success else [{}]
                self._project = str(found["id"])
            except (httpx.HTTPError, ValueError, LookupError, TypeError):
                return None
        return self._project


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
    places = [place for place in destinations(settings) if place.name in FORMS]
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
