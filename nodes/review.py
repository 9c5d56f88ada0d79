"""`review`: puts one question to a person and keeps the answer. One worker for each open question."""

from typing import Any

from langgraph.errors import GraphInterrupt, is_invalid_resume
from langgraph.runtime import Runtime
from langgraph.types import Interrupt, interrupt
from pydantic import ValidationError

from core.context import RunContext
from core.process import current_process
from core.state import OpenQuestion, ReviewTask
from tools.questions import ANSWERS, Answer, find_answer, keep_answer, whats_wrong


async def review(state: ReviewTask, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Wait for the answer, unless it has been given; nothing but looking happens before the wait.

    What is no answer to the question is taken for none: it is asked again, and `refused` says why.
    """
    question = state["question"]
    database = await (await current_process()).database()
    known = await find_answer(database, question["key"], question["kind"], question["attempt"])
    if known is None:
        try:
            answer: Answer = interrupt(question["payload"], response_schema=ANSWERS[question["kind"]])
        except ValidationError as error:
            if not is_invalid_resume(error):
                raise
            raise _asked_again(question, error, runtime) from None
        await keep_answer(database, question, answer)
    return {"questions": {question["call_id"]: None}}


def _asked_again(
    question: OpenQuestion, error: ValidationError, runtime: Runtime[RunContext]
) -> GraphInterrupt:
    """Return the same interrupt once more.

    An answer that was handed in without an id is kept by LangGraph, so an error would come back with every
    later run of the thread. A second `interrupt` in the node would have another id, which no answer fits.
    """
    if runtime.execution_info is None:
        raise RuntimeError("a question was put outside of a run") from error
    payload = question["payload"] | {"refused": f"The last answer was none: {whats_wrong(error)}"}
    schema = ANSWERS[question["kind"]].model_json_schema()
    again = Interrupt[Answer].from_ns(payload, runtime.execution_info.checkpoint_ns, response_schema=schema)
    return GraphInterrupt((again,))
