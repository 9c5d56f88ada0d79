"""What places are told of feedback: the request that each of them has for it.

Source: the REST API of Phoenix (`POST /v1/span_annotations`), of LangSmith (`/feedback`; its client's
`langsmith_run_id_from_otel_span_id` tells the run's id there) and of Langfuse (`POST /api/public/scores`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from observability.outlet import RefusedError
from observability.redactor import redacted

if TYPE_CHECKING:
    from datetime import datetime

    from observability.feedback import Feedback


@dataclass(frozen=True, slots=True)
class Root:
    """The span that feedback is about: that of the invocation which came to the answer.

    Attributes:
        langsmith_run: under which LangSmith's own client has traced it, where that is known.
        project: the id of the project that it is in, where LangSmith has told it.
    """

    trace_id: str
    span_id: str
    started_at: datetime
    langsmith_run: str | None = None
    project: str | None = None


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
        "name": redacted(one.key),
        "annotator_kind": "HUMAN",
        "identifier": str(one.id),
        "result": {name: held for name, held in result.items() if held is not None},
        "metadata": {"run_id": one.run_id, "source": one.source},
    }
    url = f"{address.removesuffix('/v1/traces')}/v1/span_annotations"
    return Call("POST", url, {"data": [annotation]})


def langsmith(address: str, one: Feedback, root: Root) -> Call:
    """Return the feedback on a run; that which takes the place of another one has its id."""
    url = f"{address.removesuffix('/otel/v1/traces')}/feedback"
    return _langsmith(url, one, UUID(int=int(root.span_id, 16)), root)


def native_langsmith(address: str, one: Feedback, root: Root) -> Call:
    """Return the feedback on a run that LangSmith's own client has traced, under its own id."""
    try:
        run_id = UUID(root.langsmith_run or one.run_id)
    except ValueError:
        raise RefusedError("the run's id is none of LangSmith's") from None
    return _langsmith(address, one, run_id, root)


def _langsmith(url: str, one: Feedback, run_id: UUID, root: Root) -> Call:
    body = {
        "id": str(one.id),
        "run_id": str(run_id),
        "session_id": root.project,
        "start_time": root.started_at.isoformat(),
        "key": redacted(one.key),
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
        "name": redacted(one.key),
        "comment": _words(one),
        "metadata": {"run_id": one.run_id, "source": one.source},
        **told,
    }
    url = f"{address.removesuffix('/otel/v1/traces')}/scores"
    return Call("POST", url, {name: held for name, held in body.items() if held is not None})


FORMS: Final[Mapping[str, Form]] = {
    "phoenix": phoenix,
    "langsmith": langsmith,
    "langfuse": langfuse,
    "langsmith itself": native_langsmith,
}
"""OTLP itself has no form for feedback."""


def _label(one: Feedback) -> str | None:
    """Return what thumbs say."""
    return None if one.score is None else {0.0: "thumbs_down", 1.0: "thumbs_up"}.get(one.score)


def _words(one: Feedback) -> str | None:
    """Return the comment and the correction without private data."""
    told = [one.comment or "", f"Correction: {one.correction}" if one.correction else ""]
    return redacted("\n".join(filter(None, told))) or None
