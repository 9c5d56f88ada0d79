"""What the commands about feedback do, and how they show it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.calls import one_line
from app.feedback_words import told
from app.json_output import write_json
from app.rating import rate
from app.traces import run_called
from core.context import RunContext
from core.process import opened_process
from observability.feedback import Feedback, NewFeedback, WantedFeedback, feedback_found
from observability.signals import find_signals

_NAMES = ("when", "run", "agent", "key", "said", "by", "comment")
_MOST_COMMENT_CHARS = 60


async def given(run_id: str, said: Mapping[str, Any], *, by: str | None, account: str, as_json: bool) -> None:
    """Take in what somebody says of a run.

    Args:
        run_id: how the run's id begins.
        said: the fields of `NewFeedback` that are given.
        by: who says so; None where nobody is named.
        account: who that is for a run whose user has a name.
        as_json: write JSON.
    """
    async with opened_process() as process:
        one = await run_called(await process.database(), run_id)
        who = by or (one.user_id if one.user_id == RunContext().user else account)
        rated = await rate(one.tenant, NewFeedback(one.run_id, who, **said, is_operator=True))
    rule = None if rated.rule is None else str(rated.rule.id)
    if as_json:
        write_json({**asdict(rated.feedback), "rule": rule, "refused": rated.refused})
        return
    console = Console(soft_wrap=True)
    console.print(
        Text(one_line(f"{one.run_id}: {told(rated.feedback)}, by {rated.feedback.given_by}")), highlight=False
    )
    if rule:
        whose = one_line(one.tenant)
        console.print(Text(f"It proposes a rule: boring rules show {rule[:8]} --tenant {whose}"))
    if rated.refused:
        console.print(Text(one_line(f"It proposes no rule: {rated.refused}")))


async def listed(tenant: str, wanted: WantedFeedback, *, limit: int, as_json: bool) -> None:
    """List what was said of runs."""
    async with opened_process() as process:
        found = await feedback_found(await process.database(), tenant, wanted, limit=limit)
    _tell(found, as_json=as_json)


async def shown(run_id: str, *, as_json: bool) -> None:
    """Show what was said of a run."""
    async with opened_process() as process:
        database = await process.database()
        one = await run_called(database, run_id)
        found = await feedback_found(database, one.tenant, WantedFeedback(run_id=one.run_id))
    if as_json:
        write_json({"run_id": one.run_id, "question": one.question, "feedback": [asdict(it) for it in found]})
        return
    console = Console(soft_wrap=True)
    console.print(Text(f"{one_line(one.graph)} was asked: {one_line(one.question or '')}"), highlight=False)
    for it in found:
        when = f"{it.updated_at.astimezone():%Y-%m-%d %H:%M}"
        said = told(it) if it.signal else f"{one_line(it.key)}: {told(it)}, by {one_line(it.given_by)}"
        console.print(Text(f"{when}  {said}"), highlight=False)
        for name in ("comment", "correction"):
            if held := getattr(it, name):
                console.print(Text(f"  {name}: {one_line(held)}"), highlight=False)
    if not found:
        console.print("Nothing was said of it.")


async def looked_for(since: timedelta | None, *, as_json: bool) -> None:
    """Look for signals now."""
    async with opened_process() as process:
        found = await find_signals(await process.database(), **({"since": since} if since else {}))
    if as_json:
        write_json(asdict(found))
        return
    typer.echo(f"{found.rephrased} runs asked again in other words, {found.abandoned} left waiting")


def _tell(found: Sequence[Feedback], *, as_json: bool) -> None:
    if as_json:
        write_json([asdict(one) for one in found])
        return
    if not found:
        typer.echo("Nothing was said of such runs. Rate one: boring feedback RUN --up")
        return
    console = Console()
    if not console.is_terminal:
        for cells in (_NAMES, *map(_cells, found)):
            typer.echo("\t".join(one_line(cell) for cell in cells))
        return
    table = Table(*_NAMES[:-1], box=None, pad_edge=False)
    table.add_column(_NAMES[-1], overflow="ellipsis", no_wrap=True)
    for one in found:
        table.add_row(*(Text(one_line(cell)) for cell in _cells(one)))
    console.print(table)


def _cells(one: Feedback) -> tuple[str, ...]:
    when = f"{one.updated_at.astimezone():%m-%d %H:%M}"
    said = one.comment or one.correction or ""
    short = said if len(said) <= _MOST_COMMENT_CHARS else f"{said[: _MOST_COMMENT_CHARS - 1]}…"
    by = "" if one.signal else one.given_by
    return (when, one.run_id, one.agent, one.key, told(one), by, short)
