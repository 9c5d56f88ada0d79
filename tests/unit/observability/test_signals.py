"""Signs that somebody was not content: found in the record of runs, and in no average of what people said."""

import pytest

from core.context import RunContext
from core.database import Database
from core.tenants import as_tenant
from memory.runs import begin_run, mark_run, receive_turn
from observability.feedback import (
    NewFeedback,
    Rating,
    WantedFeedback,
    feedback_found,
    ratings_of,
    store_feedback,
)
from observability.signals import ALIKE, SignalsFound, find_signals, likeness, note_signal

REPHRASED = (
    ("What is the capital of France?", "Which city is France's capital?"),
    ("How do I return an order?", "How can I return my order?"),
    ("When does order 7 arrive?", "When will order 7 be arriving?"),
    ("What does shipping to Norway cost?", "Cost of shipping to Norway?"),
    ("Summarise the returns policy", "Please summarise our returns policy again"),
    ("Who approved the refund of invoice 88?", "The refund for invoice 88, who approved it?"),
    ("List all open tickets", "Show me a list of all the open tickets"),
    ("Convert 5 miles to kilometres", "I meant: convert 5 miles into kilometres"),
    ("What is 17 * 23?", "Tell me what 17 * 23 is"),
    ("Why was my payment declined?", "My payment was declined, why?"),
    ("Which documents mention the warranty?", "Where do documents mention a warranty?"),
    ("How many orders shipped last week?", "Orders shipped last week: how many were there?"),
    ("Is the blue jacket in stock?", "Do you have the blue jacket in stock?"),
    ("Can I change my delivery address?", "How do I change the delivery address"),
    ("What's the weather in Oslo tomorrow?", "No, the weather in Oslo tomorrow"),
)
OTHER_WORDS = (
    ("When does order 7 arrive?", "What is the delivery date of order 7?"),
    ("How do I return an order?", "I want to send something back"),
    ("Why was my payment declined?", "What went wrong with my card?"),
    ("Can I change my delivery address?", "I have moved, where do I update that?"),
    ("Is the blue jacket in stock?", "Are there any blue jackets left?"),
)
"""The same questions, with hardly a word in common: nothing is found of these without a model."""
OTHERS = (
    ("What is the capital of France?", "And how many people live there?"),
    ("How do I return an order?", "Thanks. What about a gift card?"),
    ("When does order 7 arrive?", "When does order 8 arrive?"),
    ("What does shipping to Norway cost?", "What does shipping to Sweden and Finland cost by express?"),
    ("Summarise the returns policy", "Translate the summary into German"),
    ("Who approved the refund of invoice 88?", "Who approved the refund of invoice 89?"),
    ("List all open tickets", "Close the first one"),
    ("Convert 5 miles to kilometres", "Convert 6 miles to kilometres"),
    ("What is 17 * 23?", "And 17 * 24?"),
    ("Why was my payment declined?", "Try the other card"),
    ("Which documents mention the warranty?", "Read the second document"),
    ("How many orders shipped last week?", "How many of them came back?"),
    ("Is the blue jacket in stock?", "Order it in size M"),
    ("Can I change my delivery address?", "Change it to 5 Main Street"),
    ("What's the weather in Oslo tomorrow?", "What should I wear then?"),
)


ADA = RunContext(user="ada", tenant="acme")


def test_questions_in_other_words_are_told_from_other_questions() -> None:
    missed = [pair for pair in (*REPHRASED, *OTHER_WORDS) if likeness(*pair) < ALIKE]
    wrong = [pair for pair in OTHERS if likeness(*pair) >= ALIKE]
    assert len(missed) <= len(OTHER_WORDS)
    assert not wrong


async def asked(
    database: Database,
    run_id: str,
    question: str,
    *,
    thread: str = "t1",
    ago_s: float = 0,
    whose: RunContext = ADA,
) -> None:
    await begin_run(
        database,
        thread_id=thread,
        run_id=run_id,
        graph="clerk",
        question=question,
        context=whose,
    )
    async with database.pool.connection() as connection:
        await connection.execute(
            "update boring.run set started_at = now() - make_interval(secs => %s) where run_id = %s",
            (ago_s, run_id),
        )


async def signals(database: Database) -> set[tuple[str, str | None]]:
    found = await feedback_found(database, "acme", WantedFeedback(source="signal"))
    assert {one.score for one in found} <= {None}
    return {(one.run_id, one.signal) for one in found}


async def test_a_question_asked_again_in_other_words_marks_the_run_before(database: Database) -> None:
    for number, question in enumerate((*REPHRASED[0], *OTHERS[1])):
        await asked(database, f"r{number}", question, ago_s=100 - number)
    await asked(database, "elsewhere", REPHRASED[0][0], thread="t2", ago_s=50)
    await asked(database, "later", REPHRASED[0][0], thread="t3", ago_s=9000)
    await asked(database, "much later", REPHRASED[0][1], thread="t3", ago_s=10)
    assert await find_signals(database) == SignalsFound(rephrased=1, abandoned=0)
    assert await find_signals(database) == SignalsFound(rephrased=0, abandoned=0)
    assert await signals(database) == {("r0", "rephrased")}


async def test_a_run_that_waits_for_a_day_or_is_passed_over_is_abandoned_until_it_goes_on(
    database: Database,
) -> None:
    await asked(database, "old", "Pay 7", thread="old", ago_s=25 * 3600)
    await asked(database, "new", "Pay 8", thread="new", ago_s=3600)
    await asked(database, "passed over", "Pay 9", thread="over", ago_s=3600)
    await asked(database, "next", "What is the time?", thread="over", ago_s=60)
    async with database.pool.connection() as connection:
        for run_id in ("old", "new", "passed over"):
            await mark_run(connection, run_id, "interrupted")
    assert await find_signals(database) == SignalsFound(rephrased=0, abandoned=2)
    assert await signals(database) == {("old", "abandoned"), ("passed over", "abandoned")}
    async with database.pool.connection() as connection:
        await connection.execute(
            "update boring.run set status = 'finished', finished_at = now() where run_id = 'old'"
        )
    await find_signals(database)
    assert await signals(database) == {("passed over", "abandoned")}


@pytest.mark.parametrize("other", [RunContext(user="ada", tenant="b"), RunContext(user="bob", tenant="acme")])
async def test_what_somebody_else_asks_in_the_same_thread_is_no_sign(
    database: Database, other: RunContext
) -> None:
    await asked(database, "r1", REPHRASED[0][0], ago_s=60)
    await asked(database, "r2", REPHRASED[0][1], ago_s=30, whose=other)
    async with database.pool.connection() as connection:
        await mark_run(connection, "r1", "interrupted")
    assert await find_signals(database) == SignalsFound(rephrased=0, abandoned=0)


async def test_signals_are_in_no_average_of_what_people_said(database: Database) -> None:
    await asked(database, "r1", "Pay 7")
    assert await note_signal(database, "r1", "edited_approval")
    assert not await note_signal(database, "r1", "edited_approval")
    assert not await note_signal(database, "none", "edited_approval")
    assert await ratings_of(database, "acme", ["r1"]) == {"r1": Rating(None, 0, ("edited_approval",))}
    await store_feedback(database, "acme", NewFeedback("r1", "ada", score=1))
    assert await ratings_of(database, "acme", ["r1"]) == {"r1": Rating(1.0, 1, ("edited_approval",))}


@pytest.mark.parametrize("first", ["person", "signal"])
async def test_a_person_called_as_what_finds_signals_keeps_none_from_being_noted(
    database: Database, first: str
) -> None:
    await asked(database, "r1", "Pay 7")
    said = NewFeedback("r1", "boring", score=0.0, key="abandoned")
    if first == "person":
        await store_feedback(database, "acme", said)
    assert await note_signal(database, "r1", "abandoned")
    assert not await note_signal(database, "r1", "abandoned")
    await store_feedback(database, "acme", said)
    assert await ratings_of(database, "acme", ["r1"]) == {"r1": Rating(0.0, 1, ("abandoned",))}


async def test_a_signal_that_an_earlier_version_noted_is_noted_once(database: Database) -> None:
    await asked(database, "r1", "Pay 7")
    await note_signal(database, "r1", "abandoned")
    async with as_tenant(database, "acme") as connection:
        await connection.execute("update boring.feedback set given_by = 'boring'")
    assert not await note_signal(database, "r1", "abandoned")


async def test_agents_that_are_asked_by_one_message_were_not_asked_twice(database: Database) -> None:
    for run_id, turn_id in (("one", "m1"), ("two", "m1"), ("again", "m2")):
        await receive_turn(
            database,
            thread_id="t",
            run_id=run_id,
            graph="clerk",
            question=REPHRASED[0][0],
            context=ADA,
            turn_id=turn_id,
        )
    assert await find_signals(database) == SignalsFound(rephrased=1, abandoned=0)
    assert await signals(database) == {("two", "rephrased")}
