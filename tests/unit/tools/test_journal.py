"""The journal on a real Postgres: names of actions, one intent each, workers that lost their thread."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from core.database import Database
from core.errors import ThreadBusyError
from core.process import Process
from core.state import OpenQuestion, Turn
from memory.plans import PlanRecord, plan_record
from tools.actions import Action, Recorded
from tools.journal import Journal

OURS, THEIRS = "our worker", "their worker"
PAY = Action("t", "r", "c1", "pay", "unsafe", {"order": 7, "note": "soon"})
MAIL = Action("t", "r", "c1", "mail", "idempotent", {"to": "bo", "text": "hi"})
OK, UNKNOWN = Recorded("ok", "done"), Recorded("unknown", "nobody knows", doubt=True)
TURN = Turn(
    run_id="r", question="q", step=1, input_tokens=0, output_tokens=0, elapsed_s=0.0, started_at="2026-01-01"
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
async def database(process: Process) -> Database:
    opened = await process.database()
    await hand_over(opened, OURS)
    return opened


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database, OURS)


async def hand_over(database: Database, worker: str) -> None:
    """Give the thread to a worker."""
    await rows(
        database,
        "insert into boring.thread_lease (thread_id, worker) values ('t', %s) "
        "on conflict (thread_id) do update set worker = excluded.worker returning 1",
        worker,
    )


async def rows(database: Database, statement: Any, *values: str) -> list[dict[str, Any]]:
    async with database.pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()


def plan(name: str) -> PlanRecord:
    call = {"name": "pay", "args": {}, "id": "c1"}
    return plan_record("t", [HumanMessage("q", id="q")], AIMessage("", id=name, tool_calls=[call]), TURN)


def turned(value: Any) -> Any:
    """Return a value whose dicts have their fields in the opposite order, at every depth."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}  # pyright: ignore[reportUnknownVariableType]
    return [turned(one) for one in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(arguments=st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_the_order_of_arguments_makes_no_other_action(arguments: dict[str, Any]) -> None:
    assert replace(PAY, arguments=arguments).key == replace(PAY, arguments=turned(arguments)).key


@pytest.mark.parametrize(
    "other",
    [
        {"thread_id": "u"},
        {"call_id": "c2"},
        {"tool": "refund"},
        {"arguments": {"order": 8, "note": "soon"}},
        {"arguments": {"order": "7", "note": "soon"}},
        {"arguments": {"order": 7}},
    ],
)
def test_another_thread_call_tool_or_argument_makes_another_action(other: Any) -> None:
    assert replace(PAY, **other).key != PAY.key


def test_another_run_of_the_same_call_is_the_same_action() -> None:
    assert replace(PAY, run_id="another").key == PAY.key


async def test_an_intent_is_found_again_whatever_the_order_of_arguments(journal: Journal) -> None:
    first = await journal.intend(PAY, None)
    again = await journal.intend(replace(PAY, arguments={"note": "soon", "order": 7}), None)
    assert (first.fresh, again.fresh) == (True, False)
    assert first.idempotency_key == again.idempotency_key == PAY.key
    assert again.recorded is None
    assert again.intended_at


async def test_of_many_that_intend_at_once_one_is_the_first(journal: Journal) -> None:
    async with asyncio.TaskGroup() as group:
        intending = [group.create_task(journal.intend(PAY, None)) for _ in range(8)]
    assert sorted(one.result().fresh for one in intending) == [False] * 7 + [True]


async def test_the_first_outcome_counts(journal: Journal) -> None:
    await journal.intend(PAY, None)
    await journal.finish(PAY.key, OK)
    await journal.finish(PAY.key, UNKNOWN, by="somebody late")
    assert (await journal.intend(PAY, None)).recorded == OK
    assert await journal.find(PAY.key) == OK


async def test_a_worker_that_lost_the_thread_is_refused(journal: Journal, database: Database) -> None:
    await hand_over(database, THEIRS)
    with pytest.raises(ThreadBusyError, match="taken over the thread 't'"):
        await journal.intend(PAY, plan("p1"))
    async with database.pool.connection() as connection, connection.transaction():
        with pytest.raises(ThreadBusyError):
            await journal.intend(PAY, None, connection=connection)
    question = OpenQuestion(call_id="c1", key=PAY.key, kind="approval", attempt=1, payload={})
    with pytest.raises(ThreadBusyError):
        await journal.ask(question, plan("p1"), thread_id="t", run_id="r")
    written = await rows(
        database,
        "select key as name from boring.effect union all select basis from boring.plan "
        "union all select key from boring.question",
    )
    assert written == []


async def test_a_worker_whose_thread_was_given_back_is_refused(journal: Journal, database: Database) -> None:
    await rows(database, "delete from boring.thread_lease returning 1")
    with pytest.raises(ThreadBusyError):
        await journal.intend(PAY, None)


async def test_a_call_known_not_to_have_happened_is_made_again_by_one_worker_only(
    journal: Journal, database: Database
) -> None:
    begun = await journal.intend(PAY, None)
    await hand_over(database, THEIRS)
    with pytest.raises(ThreadBusyError):
        await journal.rearm(PAY, begun)
    theirs = Journal(database, THEIRS)
    assert (await theirs.rearm(PAY, begun)).attempt == 2
    with pytest.raises(ThreadBusyError):
        await theirs.rearm(PAY, begun)
    assert (await theirs.intend(PAY, None)).attempt == 2


async def test_a_worker_that_lost_the_thread_can_still_say_how_its_call_ended(
    journal: Journal, database: Database
) -> None:
    await journal.intend(PAY, None)
    await hand_over(database, THEIRS)
    await journal.finish(PAY.key, OK)
    assert (await Journal(database, THEIRS).intend(PAY, None)).recorded == OK


async def test_an_attempt_that_another_one_has_followed_does_not_say_how_that_one_ended(
    journal: Journal,
) -> None:
    begun = await journal.intend(PAY, None)
    again = await journal.rearm(PAY, begun)
    await journal.finish(PAY.key, Recorded("ok", "the first"), attempt=begun.attempt)
    assert await journal.find(PAY.key) is None
    await journal.finish(PAY.key, Recorded("ok", "the second"), attempt=again.attempt)
    found = await journal.find(PAY.key)
    assert found is not None
    assert found.text == "the second"


async def test_a_plan_is_recorded_with_its_first_intent_and_no_other_one_beside_it(
    journal: Journal, database: Database
) -> None:
    await journal.intend(PAY, plan("p1"))
    assert [row["plan_id"] for row in await rows(database, "select plan_id from boring.plan")] == ["p1"]
    await journal.intend(replace(PAY, call_id="c2"), plan("p1"))
    with pytest.raises(ThreadBusyError):
        await journal.intend(replace(PAY, call_id="c3"), plan("p2"))
    assert len(await rows(database, "select * from boring.plan")) == 1


async def test_a_run_without_a_thread_needs_no_claim(database: Database) -> None:
    entry = await Journal(database, THEIRS).intend(replace(PAY, thread_id=""), None)
    assert entry.fresh


async def test_an_equal_idempotent_call_after_an_unknown_end_has_the_key_of_the_first(
    journal: Journal,
) -> None:
    first = await journal.intend(MAIL, None)
    await journal.finish(MAIL.key, UNKNOWN)
    for call_id in ("c2", "c3"):
        again = replace(MAIL, call_id=call_id, arguments={"text": "hi", "to": "bo"})
        entry = await journal.intend(again, None)
        assert entry.fresh
        assert entry.idempotency_key == first.idempotency_key == MAIL.key
        await journal.finish(again.key, UNKNOWN)


async def test_an_unknown_end_is_settled_by_an_equal_call_that_succeeded(journal: Journal) -> None:
    await journal.intend(MAIL, None)
    await journal.finish(MAIL.key, UNKNOWN)
    again, third = (replace(MAIL, call_id=call_id) for call_id in ("c2", "c3"))
    assert (await journal.intend(again, None)).idempotency_key == MAIL.key
    await journal.finish(again.key, OK)
    entry = await journal.intend(third, None)
    assert (entry.idempotency_key, entry.doubtful) == (third.key, None)


@pytest.mark.parametrize("ended", [UNKNOWN, None])
async def test_an_idempotent_call_whose_end_is_unknown_is_a_doubt_in_a_later_run(
    journal: Journal, ended: Recorded | None
) -> None:
    await journal.intend(MAIL, None)
    if ended is not None:
        await journal.finish(MAIL.key, ended)
    later = replace(MAIL, call_id="c2", run_id="later")
    entry = await journal.intend(later, None)
    assert (entry.idempotency_key, entry.doubtful) == (later.key, "nobody knows" if ended else "")
    assert (await journal.intend(later, None)).doubtful is not None
    await journal.clear_doubts(later)
    assert (await journal.intend(later, None)).doubtful is None


async def test_calls_of_one_message_are_in_no_doubt_about_each_other(journal: Journal) -> None:
    both = ("c1", "c2")
    first = replace(PAY, siblings=both)
    second = replace(PAY, call_id="c2", siblings=both, again=True)
    await journal.intend(first, None)
    assert (await journal.intend(second, None)).doubtful is None
    await journal.clear_doubts(second)
    assert (await journal.intend(first, None)).recorded is None


async def test_an_earlier_doubt_is_asked_about_once_for_equal_calls_of_one_message(journal: Journal) -> None:
    await journal.intend(PAY, None)
    both = ("c2", "c3")
    first = await journal.intend(replace(PAY, call_id="c2", siblings=both), None)
    second = await journal.intend(replace(PAY, call_id="c3", siblings=both, again=True), None)
    assert (first.doubtful, second.doubtful) == ("", None)


async def test_calls_are_equal_by_their_validated_arguments(journal: Journal) -> None:
    whole = {"order": 7, "note": ""}
    await journal.intend(replace(PAY, arguments={"order": 7}, equal_by=whole), None)
    spelled = replace(PAY, call_id="c2", arguments={"order": "7", "note": ""}, equal_by=whole)
    assert (await journal.intend(spelled, None)).doubtful == ""


@pytest.mark.parametrize(
    ("other", "ended"),
    [
        ({}, OK),
        ({}, Recorded("error", "no such address")),
        ({"arguments": {"to": "bo", "text": "ho"}}, UNKNOWN),
        ({"tool": "letter"}, UNKNOWN),
        ({"thread_id": ""}, UNKNOWN),
        ({"effect": "unsafe"}, UNKNOWN),
    ],
)
async def test_any_other_call_has_a_key_of_its_own(journal: Journal, other: Any, ended: Recorded) -> None:
    changed = {name: value for name, value in other.items() if name == "effect"}
    await journal.intend(replace(MAIL, **changed), None)
    await journal.finish(MAIL.key, ended)
    following = replace(MAIL, call_id="c2", **other)
    assert (await journal.intend(following, None)).idempotency_key == following.key
