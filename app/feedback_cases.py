"""Runs that people have rated, as cases for evaluations."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, LiteralString

import typer
from langchain_core.runnables import RunnableConfig

from app.json_output import json_text, write_json
from app.whole_words import held_as_words
from core.database import Database
from core.errors import InputError
from core.process import opened_process
from graphs.ends import NoAnswerError, end_of, is_turn
from graphs.recorded import RUN_KEY
from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver
from observability.feedback import Feedback, WantedFeedback, feedback_found

_MOST_CHECKPOINTS: Final = 500
"""How far back an answer is looked for in a thread whose checkpoints do not name their runs."""
_QUESTIONS: LiteralString = (
    "select run_id, question, finished_at is not null as is_over from boring.run where run_id = any(%s)"
)
_LAST: LiteralString = (
    """
select checkpoint_id from checkpoints
where thread_id = %(thread)s and checkpoint_ns = ''
    and %(run)s in (metadata ->> 'run_id', metadata ->> '"""
    + RUN_KEY
    + """')
order by checkpoint_id desc limit 1
"""
)


@dataclass(frozen=True, slots=True)
class RatedRun:
    """A run with what one person said of it.

    Attributes:
        answer: what it answered; None where its checkpoints are gone, or it has not ended.
        score: 0 to 1; None where none was given.
        source: as what they say so, see `observability.feedback.Source`.
    """

    run_id: str
    agent: str
    question: str
    answer: str | None
    key: str
    score: float | None
    comment: str | None
    correction: str | None
    given_by: str
    source: str


async def exported(tenant: str, wanted: WantedFeedback, *, limit: int, cases: Path | None) -> None:
    """Write the rated runs of a tenant as JSON, and those that were corrected as cases.

    Raises:
        InputError: the file can't be written.
    """
    async with opened_process() as process:
        found = await rated_runs(await process.database(), tenant, wanted, limit=limit + 1)
    if len(found) > limit:
        del found[limit:]
        typer.echo(
            f"There are more than these {limit:,}, the newest. Give a higher --limit, or narrow them by"
            " --since, --agent, --key or --most.",
            err=True,
        )
    write_json([asdict(one) for one in found], indent=2)
    if cases is not None:
        try:
            await asyncio.to_thread(cases.write_text, json_text(corrected(found), indent=2))
        except OSError as error:
            raise InputError(f"--cases {cases} can't be written: {error.strerror}") from error


async def rated_runs(
    database: Database, tenant: str, wanted: WantedFeedback, *, limit: int
) -> list[RatedRun]:
    """Return what people said of a tenant's runs, with question and answer; signals are left out."""
    said = await feedback_found(database, tenant, replace(wanted, signals=False), limit=limit)
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_QUESTIONS, ([one.run_id for one in said],))).fetchall()
    questions = {row["run_id"]: row["question"] or "" for row in rows}
    over = {row["run_id"] for row in rows if row["is_over"]}
    saver, answers = await postgres_checkpointer(), dict[str, str | None]()
    for one in said:
        if one.run_id not in answers:
            answers[one.run_id] = await _answer(saver, one) if one.run_id in over else None
    return [
        RatedRun(
            run_id=one.run_id,
            agent=one.agent,
            question=questions[one.run_id],
            answer=answers[one.run_id],
            key=one.key,
            score=one.score,
            comment=one.comment,
            correction=one.correction,
            given_by=one.given_by,
            source=one.source,
        )
        for one in said
        if one.run_id in questions
    ]


def corrected(found: Sequence[RatedRun]) -> list[dict[str, Any]]:
    """Return the corrected runs as `evals.questions` has cases: a right answer holds the correction's words.

    Of several corrections of one question any is right. A peer's is left out, since whoever could reach the
    server could make an answer right by it.
    """
    facts: dict[str, list[str]] = {}
    for one in found:
        if one.correction and one.question and one.source != "peer":
            facts.setdefault(one.question, []).append(held_as_words(one.correction))
    return [
        {"question": question, "facts": [list(dict.fromkeys(patterns))], "source": None}
        for question, patterns in facts.items()
    ]


async def _answer(saver: Saver, one: Feedback) -> str | None:
    """Return what a run answered, from its last checkpoint."""
    async for values, is_of_run in _values(saver, one):
        turn = values.get("turn")
        if is_of_run or (is_turn(turn) and turn["run_id"] == one.run_id):
            with suppress(NoAnswerError):
                return end_of(values, graph=one.agent, run_id=one.run_id, elapsed_s=0.0).answer["text"]
    return None


async def _values(saver: Saver, one: Feedback) -> AsyncGenerator[tuple[dict[str, Any], bool]]:
    """Yield what a thread held, and whether it is known for the run's.

    That is the run's last checkpoint if one names it; else all are, from the newest on.
    """
    async with saver.connection() as connection:
        found = await connection.execute(_LAST, {"thread": one.thread_id, "run": one.run_id})
        row = await found.fetchone()
    place = {"checkpoint_id": row["checkpoint_id"]} if row else {}
    config: RunnableConfig = {"configurable": {"thread_id": one.thread_id, "checkpoint_ns": "", **place}}
    if row:
        kept = await saver.aget_tuple(config)
        if kept is not None:
            yield kept.checkpoint["channel_values"], True
        return
    async for kept in saver.alist(config, limit=_MOST_CHECKPOINTS):
        yield kept.checkpoint["channel_values"], False
