"""`review`: puts one question to a person and keeps the answer. One worker for each open question."""

from typing import Any

from langgraph.errors import GraphInterrupt, is_invalid_resume
from langgraph.runtime import Runtime
from langgraph.types import Interrupt, interrupt
from pydantic import ValidationError

from core.context import RunContext
from core.database import Database
from core.process import current_process
from core.state import OpenQuestion, ReviewTask
from memory.approvals import ApprovalRow
from tools.approval_form import approval_payload, shown
from tools.deciding import Decided, DecisionRefusedError, decide_all
from tools.inbox import standing
from tools.questions import ANSWERS, Answer, ApprovalAnswer, find_answer, keep_answer, whats_wrong


async def review(state: ReviewTask, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Wait for the answer, unless it has been given; nothing but looking happens before the wait.

    What is no answer to the question is taken for none: it is asked again, and `refused` says why. A request
    for approval that other people have to agree to as well is put again, as another question.
    """
    question = state["question"]
    database = await (await current_process()).database()
    known = await find_answer(database, question["key"], question["kind"], question["attempt"])
    if known is None and question["kind"] == "approval":
        return {"questions": {question["call_id"]: await _decide(database, question, runtime)}}
    if known is None:
        await keep_answer(database, question, _answer(question, question["payload"], runtime))
    return {"questions": {question["call_id"]: None}}


async def _decide(
    database: Database, question: OpenQuestion, runtime: Runtime[RunContext]
) -> OpenQuestion | None:
    """Take a decision, unless the request was settled or changed meanwhile: then it is looked at anew.

    Returns:
        The question as it is put again, where the decision does not count: by another visit, since LangGraph
        keeps the answer for this one.
    """
    told = shown(question["payload"])
    row = await _open(database, question)
    if row is None or told is None:
        return None
    refused = {name: question["payload"][name] for name in ("refused",) if name in question["payload"]}
    payload = approval_payload(row, attempt=question["attempt"]) | refused
    answer = _answer(question, payload, runtime)
    if not isinstance(answer, ApprovalAnswer):
        raise TypeError(f"a request for approval was answered by {type(answer).__name__}")
    by = _authenticated(runtime) or answer.by
    decided = Decided(row.id, answer.decisions[0], by, told[1], question["attempt"])
    try:
        await decide_all(database, [decided])
    except DecisionRefusedError as error:
        if await _open(database, question) is not None:
            again = question.copy()
            again["payload"] = payload | {"refused": str(error)}
            return again
    return None


async def _open(database: Database, question: OpenQuestion) -> ApprovalRow | None:
    """Return the request of a question if it waits for a decision of exactly what was shown."""
    told = shown(question["payload"])
    row = await standing(database, told[0]) if told is not None else None
    is_the_same = row is not None and told is not None and row.arguments_hash == told[1]
    return row if row is not None and row.status == "open" and is_the_same else None


def _authenticated(runtime: Runtime[RunContext]) -> str | None:
    """Return whom the server has authenticated: nobody can then decide in another's name."""
    user = runtime.server_info.user if runtime.server_info is not None else None
    return user.identity or None if user is not None and user.is_authenticated else None


def _answer(question: OpenQuestion, payload: dict[str, Any], runtime: Runtime[RunContext]) -> Answer:
    try:
        return interrupt(payload, response_schema=ANSWERS[question["kind"]])
    except ValidationError as error:
        if not is_invalid_resume(error):
            raise
        raise _asked_again(question, payload, error, runtime) from None


def _asked_again(
    question: OpenQuestion, payload: dict[str, Any], error: ValidationError, runtime: Runtime[RunContext]
) -> GraphInterrupt:
    """Return the same interrupt once more.

    An answer that was handed in without an id is kept by LangGraph, so an error would come back with every
    later run of the thread. A second `interrupt` in the node would have another id, which no answer fits.
    """
    if runtime.execution_info is None:
        raise RuntimeError("a question was put outside of a run") from error
    schema = ANSWERS[question["kind"]].model_json_schema()
    told = payload | {"refused": f"The last answer was none: {whats_wrong(error)}"}
    again = Interrupt[Answer].from_ns(told, runtime.execution_info.checkpoint_ns, response_schema=schema)
    return GraphInterrupt((again,))
