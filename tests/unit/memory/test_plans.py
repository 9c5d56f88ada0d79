"""Which recorded plan a turn goes on with, on a real Postgres."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from core.database import Database, opened_database
from core.settings import Settings
from core.state import Turn
from memory.plans import PLANS_OF_THREADS, PlanRecord, plan_record, recorded_ahead
from tests.runs import begins

QUESTION = HumanMessage("Pay the bill.", id="q")


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_database(settings) as opened:
        yield opened


def turn(step: int = 0, run_id: str = "r", question: str = "Pay the bill.") -> Turn:
    return Turn(
        run_id=run_id,
        question=question,
        step=step,
        input_tokens=10 * step,
        output_tokens=step,
        elapsed_s=0.0,
        started_at="2026-01-01T00:00:00+00:00",
    )


def planned(name: str, *calls: str, amount: int = 5) -> AIMessage:
    made: list[Any] = [{"name": call, "args": {"amount": amount}, "id": f"{name}-{call}"} for call in calls]
    return AIMessage("", id=name, tool_calls=made)


def result(call_id: str, text: str, at: str = "10:00") -> ToolMessage:
    """Return a result with the record of its call, which tells when it was made."""
    record = {"call_id": call_id, "started_at": at, "sources": []}
    return ToolMessage(text, id=f"result_{call_id}", tool_call_id=call_id, artifact=record)


LOOK = planned("p1", "bill", "account")
RESULTS = (result("p1-bill", "5 are due"), result("p1-account", "9 are left"))
PAY = planned("p2", "pay")
PAID = result("p2-pay", "paid 5")
TELL = planned("p3", "tell")
WHOLE: tuple[AnyMessage, ...] = (QUESTION, LOOK, *RESULTS, PAY, PAID)


async def kept(database: Database, *records: PlanRecord) -> None:
    async with database.pool.connection() as connection:
        for one in records:
            await connection.execute(
                "insert into boring.plan (place, basis, plan_id, turn_id, run_id, messages, turn) "
                "values (%s, %s, %s, %s, %s, %s, %s)",
                (
                    one.place,
                    one.basis,
                    one.plan_id,
                    one.turn_id,
                    one.run_id,
                    Jsonb(one.messages),
                    Jsonb(one.turn),
                ),
            )


@pytest.fixture
async def recorded(database: Database) -> Database:
    """A turn in which two plans have had effects: the payment, and a message about it."""
    await kept(
        database,
        plan_record("t", WHOLE[:4], PAY, turn(2)),
        plan_record("t", WHOLE, TELL, turn(3)),
    )
    return database


async def ahead(database: Database, *so_far: AnyMessage, now: Turn | None = None) -> list[str] | None:
    found = await recorded_ahead(database, "t", so_far, now or turn())
    return None if found is None else [str(message.id) for message in found[0]]


@pytest.mark.parametrize(
    ("length", "missing"),
    [
        (1, ["p1", "result_p1-bill", "result_p1-account", "p2", "result_p2-pay", "p3"]),
        (4, ["p2", "result_p2-pay", "p3"]),
        (6, ["p3"]),
    ],
)
async def test_a_turn_goes_on_from_the_newest_plan_that_was_recorded(
    recorded: Database, length: int, missing: Sequence[str]
) -> None:
    assert await ahead(recorded, *WHOLE[:length]) == missing


async def test_the_account_of_the_turn_comes_with_the_plan(recorded: Database) -> None:
    found = await recorded_ahead(recorded, "t", [QUESTION], turn())
    assert found is not None
    assert (found[1]["step"], found[1]["input_tokens"], found[1]["run_id"]) == (3, 30, "r")


async def test_what_is_not_ahead_is_not_gone_back_to(recorded: Database) -> None:
    assert await ahead(recorded, *WHOLE, TELL) is None


async def test_results_in_another_order_still_match(recorded: Database) -> None:
    assert await ahead(recorded, QUESTION, LOOK, *reversed(RESULTS)) == ["p2", "result_p2-pay", "p3"]


async def test_a_step_that_is_cut_off_in_its_middle_still_matches(recorded: Database) -> None:
    assert await ahead(recorded, QUESTION, LOOK, RESULTS[1]) == [
        "result_p1-bill",
        "p2",
        "result_p2-pay",
        "p3",
    ]


async def test_a_read_that_was_repeated_and_found_other_things_still_matches(recorded: Database) -> None:
    later = result("p1-account", "8 are left", at="11:00")
    assert await ahead(recorded, QUESTION, LOOK, RESULTS[0], later) == ["p2", "result_p2-pay", "p3"]


async def test_another_question_plans_anew(recorded: Database) -> None:
    assert await ahead(recorded, HumanMessage("Pay the rent.", id="q2")) is None


async def test_an_edited_question_plans_anew(recorded: Database) -> None:
    assert await ahead(recorded, HumanMessage("Pay the rent.", id="q")) is None


async def test_an_edited_result_plans_anew(recorded: Database) -> None:
    edited = RESULTS[1].model_copy(update={"content": "nothing is left"})
    assert await ahead(recorded, QUESTION, LOOK, RESULTS[0], edited) is None


async def test_an_edited_call_plans_anew(recorded: Database) -> None:
    assert await ahead(recorded, *WHOLE[:4], planned("p2", "pay", amount=6), PAID) is None


async def test_a_plan_of_another_model_plans_anew(recorded: Database) -> None:
    assert await ahead(recorded, QUESTION, planned("another", "bill", "account")) is None


async def test_a_run_that_is_asked_again_under_its_id_goes_on(recorded: Database) -> None:
    again = HumanMessage("Pay the bill.", id="sent again")
    assert await ahead(recorded, again) == [
        "p1",
        "result_p1-bill",
        "result_p1-account",
        "p2",
        "result_p2-pay",
        "p3",
    ]


async def test_the_same_words_in_a_later_run_plan_anew(recorded: Database) -> None:
    again = HumanMessage("Pay the bill.", id="a month later")
    assert await ahead(recorded, again, now=turn(run_id="another")) is None


async def test_another_thread_plans_anew(recorded: Database) -> None:
    assert await recorded_ahead(recorded, "another", [QUESTION], turn()) is None


async def test_plans_upon_an_edited_turn_are_recorded_beside_the_old_ones(recorded: Database) -> None:
    edited = RESULTS[1].model_copy(update={"content": "nothing is left"})
    fork: list[AnyMessage] = [QUESTION, LOOK, RESULTS[0], edited]
    await kept(recorded, plan_record("t", fork, planned("beg", "tell"), turn(2)))
    assert await ahead(recorded, *fork) == ["beg"]
    assert await ahead(recorded, *WHOLE[:4]) == ["p2", "result_p2-pay", "p3"]


def test_the_place_of_a_plan_does_not_depend_on_the_order_of_results() -> None:
    one = plan_record("t", WHOLE[:4], PAY, turn(2))
    other = plan_record("t", [QUESTION, LOOK, *reversed(RESULTS)], planned("other", "pay"), turn(2))
    assert one.basis == other.basis
    assert one.turn_id == other.turn_id


@pytest.mark.parametrize(
    ("threads", "places"),
    [
        (["t"], {"t", "t#2", "t|agent", "t|agent#2", "t|copied"}),
        (["t|x"], {"t|x", "t|x|agent"}),
        (["t#2"], set()),
        (["t", "t|x"], {"t", "t#2", "t|agent", "t|agent#2", "t|copied", "t|x", "t|x|agent"}),
        (["t%", "T", ""], set()),
    ],
)
async def test_plans_are_told_to_be_of_a_thread_whose_name_goes_on_like_a_place(
    database: Database, threads: list[str], places: set[str]
) -> None:
    for run_id, thread in (("of t", "t"), ("of x", "t|x"), ("of another", "another")):
        await begins(database, run_id, thread_id=thread)
    made = {"of t": ("t", "t#2", "t|agent", "t|agent#2"), "of x": ("t|x", "t|x|agent"), "of another": ()}
    told = [(place, run_id) for run_id, those in made.items() for place in those]
    for place, run_id in [*told, ("t|copied", "of another")]:
        await kept(database, plan_record(place, WHOLE[:1], LOOK, turn(run_id=run_id)))
    async with database.pool.connection() as connection:
        found = await connection.execute(
            f"select place from boring.plan where {PLANS_OF_THREADS}",  # noqa: S608 - a constant
            {"threads": threads},
        )
        assert {row["place"] for row in await found.fetchall()} == places
