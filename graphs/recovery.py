"""Goes on with a thread whose last run was cut off, or waits for a person."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import START
from langgraph.types import Command, Interrupt, StateSnapshot
from pydantic import ValidationError

from core.context import RunContext
from core.database import Database
from core.errors import InputError, ThreadBusyError
from core.process import current_process
from core.text import storable
from graphs.single import Agent
from memory.approvals import ApprovalRow
from memory.plans import turn_id_of
from memory.runs import RunRow, latest_run, turn_of_run
from tools.approval_form import shown
from tools.deciding import Decided, decide_all
from tools.inbox import give_back, take_up
from tools.questions import ALLOWED, ApprovalAnswer, form_of, whats_wrong, words_of
from tools.waiting import once_free


async def resume_thread(
    graph: Agent,
    thread_id: str,
    *,
    answers: Mapping[str, Any] | None = None,
    durability: Literal["sync", "async"] = "sync",
) -> dict[str, Any]:
    """Finish the last run of a thread and return the thread's state, as `ainvoke` does.

    A run whose checkpoints were lost is asked anew under its own id, so that it finds what it has done. A
    thread whose last run is complete is left alone.

    Args:
        graph: compiled with a checkpointer.
        thread_id: the thread.
        answers: to open questions, by the id of their interrupt; as JSON or of a type in `tools.questions`.
            `by` says who answers: the user in the run's context is who asked, and is not taken for that.
        durability: of the checkpoints, as LangGraph has it.

    Raises:
        InputError: nothing is known of the thread; or an answer is to no open question, not in its form, or
            by somebody who may not decide. Nothing was run then, and no answer is kept.
        ThreadBusyError: another process is working on it. Decisions of requests for approval are kept.
    """
    database = await (await current_process()).database()
    row = await latest_run(database, thread_id)
    config, state = await _standing(graph, thread_id, row)
    if row is None and (state is None or not state.tasks):
        raise InputError(f"There is no run of a thread {thread_id!r} to go on with.")
    asked = state.interrupts if state is not None else ()
    given = await _decided(database, _checked(answers or {}, asked, thread_id), asked)
    context = RunContext(**row.context) if row is not None else RunContext()  # pyright: ignore[reportArgumentType] - fields by name
    if state is not None and state.tasks:
        # Not `state.next`: that is empty too when the last step is done but its checkpoint is not written.
        following: Any = Command(resume=given) if given else None
        return await graph.ainvoke(following, config, context=context, durability=durability)
    if state is not None and (row is None or row.finished_at is not None):
        return state.values
    question: Any = {"messages": [HumanMessage((row and row.question) or "")]}
    return await graph.ainvoke(question, config, context=context, durability=durability)


async def resume_settled(graph: Agent, approval: ApprovalRow, *, by: str) -> dict[str, Any] | None:
    """Go on with the run that waited for a request; return the thread's state, None where somebody else does.

    Whoever settles a request calls this, and one of them goes on. Where that one dies, `resume_thread` does
    the same: what was decided is kept, and a thread is run by one process at a time.

    Args:
        graph: compiled with a checkpointer.
        approval: the request as the last decision left it.
        by: who goes on, for the record.

    Raises:
        ThreadBusyError: another process has been working on the thread for a minute.
    """
    database = await (await current_process()).database()
    if approval.status == "open":
        return None
    if approval.status != "edited" and not await take_up(database, approval.id, by):
        return None
    try:
        return await once_free(lambda: resume_thread(graph, approval.thread_id))
    except ThreadBusyError:
        await give_back(database, approval.id, by)
        raise


async def _decided(
    database: Database, given: Mapping[str, Any], questions: Sequence[Interrupt[Any]]
) -> dict[str, Any]:
    """Record the decisions among answers, all or none; return the other answers."""
    about = {one.id: told for one in questions if (told := _request_in(one)) is not None}
    decided: list[Decided] = []
    for name in given.keys() & about.keys():
        answer = ApprovalAnswer.model_validate(given[name])
        approval_id, arguments_hash, attempt = about[name]
        decided.append(Decided(approval_id, answer.decisions[0], answer.by, arguments_hash, attempt))
    if decided:
        await decide_all(database, decided)
    return {name: answer for name, answer in given.items() if name not in about}


def _request_in(question: Interrupt[Any]) -> tuple[UUID, str, int] | None:
    is_ours = form_of(question.response_schema) is ApprovalAnswer and isinstance(question.value, dict)
    return shown(question.value) if is_ours else None


def _checked(
    answers: Mapping[str, Any], questions: Sequence[Interrupt[Any]], thread_id: str
) -> dict[str, Any]:
    """Return the answers as JSON, each in the form that its question asks for."""
    waiting = {one.id: one for one in questions}
    checked: dict[str, Any] = {}
    for name, answer in answers.items():
        if name not in waiting:
            raise InputError(
                f"Thread {thread_id!r} has no open question {name!r}. Open are: "
                f"{', '.join(waiting) or 'none'}. What was answered is not asked again; go on without it."
            )
        form = form_of(waiting[name].response_schema)
        if form is None:
            checked[name] = answer
            continue
        try:
            checked[name] = storable(form.model_validate(answer).model_dump())
        except ValidationError as error:
            asked = words_of(waiting[name].value)
            raise InputError(
                f"The answer to question {name!r} of thread {thread_id!r}, {asked!r}, "
                f"can't be taken: {whats_wrong(error)}. Allowed is {ALLOWED[form]}."
            ) from error
    return checked


async def _standing(
    graph: Agent, thread_id: str, row: RunRow | None
) -> tuple[RunnableConfig, StateSnapshot | None]:
    """Return how to invoke the thread's last run, and where it stands; None where that is lost.

    The newest checkpoint may hold another question, which nobody has received: that of an invocation that
    was refused while the run went on, or that was killed at once after the run was over.
    """
    thread: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    state = await graph.aget_state(thread)
    if row is None:
        return thread, state
    run_id = _as_uuid(row.run_id)
    turn_id = await turn_of_run(await (await current_process()).database(), row.run_id)
    if turn_id is None or not _waits_with_another(state, turn_id):
        return {**thread, "run_id": run_id}, state
    if row.finished_at is not None:
        return thread, state
    async for older in graph.aget_state_history(thread):
        if _turn_of(older) == turn_id and older.next != (START,):
            return {**older.config, "run_id": run_id}, older
    return {**thread, "run_id": run_id}, None


def _waits_with_another(state: StateSnapshot, turn_id: str) -> bool:
    """Tell whether the question that waits to be received is not that of the turn."""
    if state.next == (START,):
        return _turn_of(state) == turn_id  # what waits is not among the messages yet
    return state.next == ("receive",) and _turn_of(state) != turn_id


def _turn_of(state: StateSnapshot) -> str | None:
    messages = state.values.get("messages") or []
    asked = [message for message in messages if isinstance(message, HumanMessage)]
    return turn_id_of(asked[-1]) if asked else None


def _as_uuid(run_id: str) -> UUID | None:
    try:
        return UUID(run_id)
    except ValueError:
        return None
