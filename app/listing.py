"""The commands that fill and show what is stored: index, threads."""

import asyncio
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.calls import one_line
from app.json_output import write_json
from app.pending import all_written_down
from app.running import run
from core.context import RunContext
from core.settings import PROJECT_ROOT, settings
from core.text import in_one_line

if TYPE_CHECKING:
    from memory.indexing import IndexReport
    from memory.runs import RunRow

MAX_QUESTION_SHOWN = 60
DEFAULT_TENANT = RunContext().tenant


def index(
    path: Annotated[Path, typer.Argument(help="A text, Markdown, HTML or PDF file, or a folder of them.")],
    *,
    tenant: Annotated[
        str, typer.Option(help="Whose knowledge base it is; others don't find the documents.")
    ] = DEFAULT_TENANT,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="Forget what was indexed from PATH, which need not be there, and index nothing."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read documents into the knowledge base that the agent searches.

    Files that have not changed are skipped; files that are gone from the folder are forgotten. Links out
    of the folder are not followed.
    """
    if forget:
        number = run(_forgotten(path, tenant))
        if as_json:
            write_json({"forgotten": number})
        else:
            typer.echo(f"{number} documents forgotten." if number else "Nothing was indexed from there.")
        return
    report = run(_index(path, tenant=tenant, quiet=as_json), go_on_with=_again(path, tenant))
    if as_json:
        write_json(asdict(report))
        return
    console = Console()
    for line in report.skipped:
        console.print(f"[yellow]skipped[/yellow] {escape(in_one_line(line))}", highlight=False)
    console.print(
        f"{report.added} indexed ({report.passages} passages), {report.unchanged} unchanged, "
        f"{report.removed} removed, {len(report.skipped)} skipped",
        highlight=False,
    )


def threads(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most threads to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the threads, newest first, with how their last run ended."""
    rows = run(_threads(limit))
    waiting = all_written_down(settings().data_dir)
    if as_json:
        listed = [asdict(row) for row in rows] + [{**asdict(one), "status": "waiting"} for one in waiting]
        write_json(listed)
        return
    table = Table("thread", "began", "status", "question", box=None, pad_edge=False)
    for row in rows:
        status = f"{row.status} ({row.reason})" if row.reason not in {None, "answered"} else row.status
        began = f"{row.started_at.astimezone():%Y-%m-%d %H:%M}"
        table.add_row(*map(_cell, (row.thread_id, began, status, _shortened(row.question or ""))))
    for one in waiting:
        table.add_row(*map(_cell, (one.thread_id, "", "waiting", _shortened(one.question))))
    console = Console()
    console.print(
        table if table.row_count else 'No threads yet. Begin one with: boring ask "What is 17 * 23?"'
    )


def _shortened(question: str) -> str:
    is_short = len(question) <= MAX_QUESTION_SHOWN
    return question if is_short else f"{question[: MAX_QUESTION_SHOWN - 1]}…"


def _cell(text: str) -> Text:
    return Text(one_line(text))


def _again(path: Path, tenant: str) -> str:
    whose = [] if tenant == DEFAULT_TENANT else ["--tenant", tenant]
    return shlex.join(["boring", "index", *whose, str(path)])


async def _index(path: Path, *, tenant: str, quiet: bool) -> "IndexReport":
    from app.downloads import download_bars  # noqa: PLC0415 - commands import what they need when they run
    from core.process import opened_process  # noqa: PLC0415
    from memory.documents import document_store  # noqa: PLC0415
    from memory.indexing import check_path, index_path  # noqa: PLC0415

    await asyncio.to_thread(check_path, path)
    errors = Console(stderr=True)
    with download_bars(errors) as fetching:
        async with opened_process(progress=fetching):
            store = await document_store()
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=errors, disable=quiet, transient=True) as bars:
                task = bars.add_task("indexing", total=None)
                return await index_path(
                    store,
                    path,
                    tenant=tenant,
                    base=PROJECT_ROOT,
                    advance=lambda done, total, name: bars.update(
                        task, completed=done, total=total, description=escape(in_one_line(name)) or "indexing"
                    ),
                )


async def _forgotten(path: Path, tenant: str) -> int:
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from memory.indexing import forget_path  # noqa: PLC0415

    async with opened_process() as process:
        return await forget_path(await process.database(), path, tenant=tenant, base=PROJECT_ROOT)


async def _threads(limit: int) -> "list[RunRow]":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from memory.runs import recent_threads  # noqa: PLC0415

    async with opened_process() as process:
        return await recent_threads(await process.database(), limit)
