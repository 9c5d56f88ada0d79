"""`review`: puts one question to a person and keeps the answer. One worker for each open question."""

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from core.context import RunContext, context_of
from core.process import current_process
from core.state import ReviewTask
from tools.questions import ANSWERS, Answer, find_answer, keep_answer


async def review(state: ReviewTask, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Wait for the answer, unless it has been given; nothing but looking happens before the wait."""
    question = state["question"]
    database = await (await current_process()).database()
    known = await find_answer(database, question["key"], question["kind"], question["attempt"])
    if known is None:
        answer: Answer = interrupt(question["payload"], response_schema=ANSWERS[question["kind"]])
        await keep_answer(database, question, answer, by=answer.by or context_of(runtime).user)
    return {"questions": {question["call_id"]: None}}
