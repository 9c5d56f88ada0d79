"""The commands that show what runs did and took: runs, trace, why."""

from dataclasses import asdict
from itertools import compress, count
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.calls import one_line
from app.consoles import table_console
from app.json_output import write_json
from app.running import run
from app.since import SinceOption
from app.trace_tree import dollars, trees
from core.errors import InputError
from observability.trace_log import InStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.database import Database
    from observability.feedback import Feedback, Rating
    from observability.story import DecisionRow
    from observability.trace_log import RunFigures, SpanRow, WantedRuns

FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on, and show what is new; Ctrl-C ends it.")
]
_MOST_QUESTION_CHARS = 48
_WIDE = 130
"""Columns of a terminal from which on questions and whole ids have room."""
_SHORT_ID, _LONGEST_AGENT = 8, 16
_COLUMNS = ("began", "agent", "status", "seconds", "tokens", "cost", "rating", "question", "run")


def runs(  # noqa: PLR0913 - each is an option of the command line
    *,
    agent: Annotated[str | None, typer.Option(help="Only runs of this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="Only runs of this user.")] = None,
    thread: Annotated[str | None, typer.Option("--thread", "-t", help="Only runs of this thread.")] = None,
    status: Annotated[InStatus | None, typer.Option(help="Only runs in this status.")] = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most runs to list.")] = 20,
    follow: FollowOption = False,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first, with what they took. `boring trace RUN` shows one.

    With --follow, the newest come last, and further ones and new statuses as they come: a line each.
    """
    from observability.trace_log import WantedRuns  # noqa: PLC0415 - commands import what they need when they run

    wanted = WantedRuns(agent=agent, user=user, thread_id=thread, status=status, since=since)
    if follow:
        from app.following import follow_runs  # noqa: PLC0415

        follow_runs(wanted, limit, as_json=as_json)
        return
    found, ratings = run(_recent(wanted, limit))
    if as_json:
        write_json([{**asdict(one), "rating": _rating_of(ratings, one)} for one in found])
        return
    if not found:
        typer.echo('No such runs. Begin one with: boring ask "What is 17 * 23?"')
        return
    console = table_console()
    console.print(_listed(found, ratings, is_narrow=console.width < _WIDE))


def trace(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")],
    *,
    follow: FollowOption = False,
    content: Annotated[
        bool, typer.Option("--content", help="Show what was asked and answered, where spans hold it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a run did as a tree: its steps, model calls and tool calls, with times, tokens and cost.

    With --follow, its spans come as they end, a line each, until the run is over.
    """
    if follow:
        from app.following import follow_trace  # noqa: PLC0415 - commands import what they need when they run

        follow_trace(run_id, with_content=content, as_json=as_json)
        return
    one, spans, feedback = run(_traced(run_id, with_content=content))
    if as_json:
        told = {"spans": [asdict(span) for span in spans], "feedback": [asdict(it) for it in feedback]}
        write_json({**asdict(one), **told})
        return
    console = table_console()
    cells = _cells(one)
    console.print(
        Text.assemble(
            ("run ", "bold"),
            one_line(one.run_id),
            f"  {cells[1]}, {cells[2]}, {cells[3]} s, {cells[4]} tokens, cost {cells[5]}",
        )
    )
    console.print(Text(_whose(one)), highlight=False)
    _show_said(console, feedback)
    if not spans:
        console.print("No spans are kept of it.")
    for tree in trees(spans):
        console.print(tree)


def _whose(one: "RunFigures") -> str:
    told = (("thread", one.thread_id), ("user", one.user_id), ("tenant", one.tenant))
    return ", ".join(f"{name} {one_line(held)}" for name, held in told)


def why(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell in sentences what a run decided, among what, why, and who decided."""
    one, decisions, feedback = run(_decided(run_id))
    if as_json:
        said = [asdict(it) for it in feedback]
        write_json({**asdict(one), "decisions": [asdict(it) for it in decisions], "feedback": said})
        return
    from observability.story import sentences  # noqa: PLC0415 - commands import what they need when they run

    console = Console()
    console.print(Text(f"{one_line(one.graph)} was asked: {one_line(one.question or '')}"), highlight=False)
    for number, sentence in enumerate(sentences(decisions), start=1):
        console.print(Text(f"{number:>3}. {one_line(sentence)}"), highlight=False, soft_wrap=True)
    if not decisions:
        console.print("No decisions are on record of it.")
    _show_said(console, feedback)


def _listed(found: "list[RunFigures]", ratings: "Mapping[str, Rating]", *, is_narrow: bool) -> Table:
    """Return the runs as a table; a narrow one has no questions, and of ids what tells them apart."""
    left_out = set[str]()
    if is_narrow:
        left_out = {"question"} | ({"rating"} if not ratings else set[str]())
    shown = [name not in left_out for name in _COLUMNS]
    table = Table(box=None, pad_edge=False)
    for name in compress(_COLUMNS, shown):
        justify: Literal["left", "right"] = "right" if name in {"seconds", "tokens", "cost"} else "left"
        longest = _LONGEST_AGENT if is_narrow and name == "agent" else None
        table.add_column(name, justify=justify, no_wrap=True, max_width=longest)
    ids = {one.run_id for one in found}
    length = next(n for n in count(_SHORT_ID) if len({one[:n] for one in ids}) == len(ids))
    for one in found:
        *cells, run_id = _cells(one, ratings.get(one.run_id))
        cells.append(run_id[:length] if is_narrow else run_id)
        table.add_row(*(Text(cell) for cell in compress(cells, shown)))
    return table


def _show_said(console: Console, feedback: "list[Feedback]") -> None:
    from app.feedback_words import said_of  # noqa: PLC0415 - commands import what they need when they run

    for it in reversed(feedback):
        console.print(Text(one_line(said_of(it))), highlight=False)


def _rating_of(ratings: "Mapping[str, Rating]", one: "RunFigures") -> dict[str, Any] | None:
    return asdict(ratings[one.run_id]) if one.run_id in ratings else None


def _cells(one: "RunFigures", rating: "Rating | None" = None) -> tuple[str, ...]:
    from app.feedback_words import rating_told  # noqa: PLC0415 - commands import what they need when they run

    took = "" if one.duration_ms is None else f"{one.duration_ms / 1000:.1f}"
    tokens = "" if one.input_tokens is None else str(one.input_tokens + (one.output_tokens or 0))
    ended = one.status if one.reason in {None, "answered", one.status} else f"{one.status} ({one.reason})"
    return (
        f"{one.started_at.astimezone():%m-%d %H:%M:%S}",
        one_line(one.graph),
        one_line(ended),
        took,
        tokens,
        dollars(one.cost_usd) if one.model_calls else "",
        rating_told(rating),
        one_line(one.question or "")[:_MOST_QUESTION_CHARS],
        one_line(one.run_id),
    )


async def _recent(wanted: "WantedRuns", limit: int) -> "tuple[list[RunFigures], dict[str, Rating]]":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.feedback import ratings_of  # noqa: PLC0415
    from observability.run_search import runs_found  # noqa: PLC0415

    async with opened_process() as process:
        database = await process.database()
        found = await runs_found(database, wanted, limit=limit)
        return found, await ratings_of(database, None, [one.run_id for one in found])


async def _traced(run_id: str, *, with_content: bool) -> "tuple[RunFigures, list[SpanRow], list[Feedback]]":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.run_search import spans_found  # noqa: PLC0415

    async with opened_process() as process:
        database = await process.database()
        one = await run_called(database, run_id)
        return (
            one,
            await spans_found(database, one, with_content=with_content),
            await _feedback_on(database, one),
        )


async def _decided(run_id: str) -> "tuple[RunFigures, list[DecisionRow], list[Feedback]]":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.story import decisions_of_run  # noqa: PLC0415

    async with opened_process() as process:
        database = await process.database()
        one = await run_called(database, run_id)
        return one, await decisions_of_run(database, one.run_id), await _feedback_on(database, one)


async def _feedback_on(database: "Database", one: "RunFigures") -> "list[Feedback]":
    from observability.feedback import WantedFeedback, feedback_found  # noqa: PLC0415 - see above

    return await feedback_found(database, one.tenant, WantedFeedback(run_id=one.run_id))


async def run_called(database: "Database", run_id: str) -> "RunFigures":
    """Return the run whose id begins like this.

    Raises:
        InputError: there is none, or more than one.
    """
    from observability.run_search import runs_found  # noqa: PLC0415 - see above
    from observability.trace_log import WantedRuns  # noqa: PLC0415

    found = await runs_found(database, WantedRuns(run_begins=run_id), limit=2)
    if not found:
        raise InputError(f"There is no run {run_id!r}. List the runs with: boring runs")
    if len(found) > 1:
        raise InputError(f"More than one run begins with {run_id!r}. Give more of the id.")
    return found[0]
