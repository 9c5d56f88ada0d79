"""What the commands about long-term memory do and show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import typer
from langgraph.store.base import SearchOp
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from app.calls import one_line
from app.downloads import download_bars
from app.json_output import write_json
from app.pending import Request, all_written_down, strike_off
from core.errors import InputError
from core.process import Process, opened_process
from core.tenants import as_tenant
from memory.document_reembedding import reembed_documents
from memory.extractions import GivenUp, Wanted, given_up
from memory.facts import forget, history, recall, remember, subject_key, user_namespace
from memory.forgetting import named
from memory.items import Memory, Origin, check_names, memory_of
from memory.store_reembedding import reembed
from memory.store_search import found
from tools.forgetting import Forgotten, forget_user, look_for_user

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nodes.learning import Learnt

_SHOWN_CHARS = 80


@asynccontextmanager
async def _opened() -> AsyncGenerator[Process]:
    with download_bars(Console(stderr=True)) as fetching:
        async with opened_process(progress=fetching) as process:
            yield process


async def listed(origin: Origin, limit: int) -> list[Memory]:
    """Return what is known of a user, the newest first."""
    async with opened_process() as process, as_tenant(await process.database(), origin.tenant) as connection:
        rows = await found(connection, SearchOp(user_namespace(origin.user), limit=limit, refresh_ttl=False))
        return [memory_of(row) for row in rows]


async def searched(question: str, origin: Origin, limit: int) -> list[Memory]:
    """Return what fits a question best."""
    async with _opened():
        return await recall(question, limit=limit, origin=origin)


async def versions(subject: str, origin: Origin) -> list[Memory]:
    """Return every version of what was known about a subject, of whatever kind."""
    async with opened_process():
        kinds = [await history(subject, kind=kind, origin=origin) for kind in ("fact", "episode", "summary")]
        return [one for versions in kinds for one in versions]


async def remembered(subject: str, text: str, origin: Origin) -> Memory:
    """Remember a fact; return what holds now.

    Raises:
        InputError: the subject or a name is too long.
    """
    try:
        check_names(origin, user_namespace(origin.user, "fact"), subject_key(subject))
    except ValueError as error:
        raise InputError(f"{error}. Take shorter ones.") from error
    async with _opened():
        return await remember(text, subject=subject, origin=origin)


async def forgotten(subject: str, origin: Origin) -> int:
    """Forget a subject, of whatever kind; return how many versions there were."""
    async with opened_process():
        kinds = [await forget(subject, kind=kind, origin=origin) for kind in ("fact", "episode", "summary")]
        return sum(kinds)


async def wholly_forgotten(origin: Origin, *, by: str, dry_run: bool) -> Forgotten:
    """Forget a user, also requests of theirs that are written down on this machine and not begun.

    Those go last: where forgetting is refused, nothing has changed.
    """
    async with opened_process() as process:
        folder = process.settings.data_dir
        pending = await asyncio.to_thread(_written_down_of, origin, folder)
        if dry_run:
            found = await look_for_user(origin.tenant, origin.user)
            return _with_written_down(found, len(pending), len(pending))
        done = await forget_user(origin.tenant, origin.user, by=by)
        for request in pending:
            await asyncio.to_thread(strike_off, folder, request)
        left = await asyncio.to_thread(_written_down_of, origin, folder)
        return _with_written_down(done, len(pending), len(left))


def _written_down_of(origin: Origin, folder: Path) -> list[Request]:
    whose = (origin.tenant, origin.user)
    return [
        one
        for one in all_written_down(folder)
        if (one.context.get("tenant"), one.context.get("user")) == whose
    ]


def _with_written_down(done: Forgotten, found: int, left: int) -> Forgotten:
    name = "requests written down"
    return replace(done, found={**done.found, name: found}, left={**done.left, name: left})


async def learnt(tenant: str | None, *, failed: bool) -> tuple[list[Learnt], list[GivenUp]]:
    """Learn from every turn in the queue that is due, each once; return also those that are given up."""
    from core.models import configured_fallbacks, configured_model  # noqa: PLC0415 - only learning asks a model
    from nodes.learning import Mind, learn_next  # noqa: PLC0415 - as above, and it takes half a second

    done: list[Learnt] = []
    async with _opened() as process:
        mind = Mind("", configured_model(), configured_fallbacks, memory=True)
        while True:
            seen = tuple(one.run_id for one in done)
            one = await learn_next(mind, Wanted(tenant=tenant, failed=failed, but=seen))
            if one is None:
                return done, await given_up(await process.database(), tenant)
            done.append(one)


async def reembedded(tenant: str, *, quiet: bool) -> tuple[int, int]:
    """Have a tenant's memories and documents embedded anew; return how many there were of each."""
    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    async with _opened():
        with Progress(
            *columns, console=errors, disable=quiet or not errors.is_terminal, transient=True
        ) as bars:
            task = bars.add_task("embedding", total=None)

            def advance(*, done: int, total: int, what: str) -> None:
                bars.update(task, completed=done, total=total, description=escape(what))

            return await reembed(tenant, advance), await reembed_documents(tenant, advance)


def print_memories(memories: Sequence[Memory], *, as_json: bool) -> None:
    """Show memories, a line each; in a pipe with tabs between the cells."""
    if as_json:
        write_json([_as_json(one) for one in memories])
        return
    if not memories:
        typer.echo("Nothing is known.")
        return
    _print(("subject", "what", "kind", "trusted", "since", "uses"), [_cells(one) for one in memories])


def print_history(memories: Sequence[Memory], *, as_json: bool) -> None:
    """Show the versions of a fact."""
    if as_json:
        write_json([_as_json(one) for one in memories])
        return
    if not memories:
        typer.echo("Nothing is known, and nothing was. `boring memory list` tells the subjects there are.")
        return
    rows = [
        (_time(one.valid_from), _until(one), _text(one), _trust(one), one.origin.thread_id or "")
        for one in memories
    ]
    _print(("from", "until", "what", "trusted", "thread"), rows)


def print_forgotten(done: Forgotten, *, dry_run: bool) -> None:
    """Show what was forgotten of a user, and what is left."""
    console = Console(soft_wrap=True)
    what = "There is" if dry_run else "Forgotten"
    console.print(Text(one_line(f"{what}: {done.threads} threads; {named(done.found)}.")), highlight=False)
    if done.shared:
        shared = ", ".join(done.shared)
        verb = "would go" if dry_run else "went"
        told = f"Others have asked in {len(done.shared)} of the threads, which {verb} whole: {shared}."
        console.print(Text(one_line(told)), highlight=False)
    if done.kept:
        told = f"{done.kept} decisions on requests of others stay on record, with the name."
        console.print(Text(told), highlight=False)
    if not dry_run:
        console.print(Text(f"Left: {sum(done.left.values())} rows ({named(done.left)})."), highlight=False)


def print_learnt(done: Sequence[Learnt], without: Sequence[GivenUp], console: Console) -> None:
    """Show what was learnt from each turn, and which were given up."""
    if not done:
        console.print("Nothing is left to learn from.")
    for one in done:
        tokens = f"{one.spent.input_tokens} tokens in, {one.spent.output_tokens} out"
        came = one.error or ("; ".join(one.facts) or "nothing new")
        console.print(Text(one_line(f"{one.thread_id}: {came} ({tokens})")), highlight=False)
    for turn in without:
        told = f"{turn.thread_id}: given up after {turn.attempts} attempts: {turn.last_error}"
        console.print(Text(one_line(told)), highlight=False)
    if without:
        console.print("Try those that were given up again: boring memory learn --failed")


def _print(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console = Console()
    if not console.is_terminal:
        for cells in (names, *rows):
            typer.echo("\t".join(one_line(cell) for cell in cells))
        return
    table = Table(*names, box=None, pad_edge=False)
    for cells in rows:
        table.add_row(*(Text(one_line(_shortened(cell))) for cell in cells))
    console.print(table)


def _cells(memory: Memory) -> tuple[str, ...]:
    subject = str(memory.value.get("subject", memory.key))
    return (
        *(subject, _text(memory), memory.kind, _trust(memory)),
        *(_time(memory.valid_from), str(memory.uses)),
    )


def _text(memory: Memory) -> str:
    return str(memory.value.get("text", memory.text or json.dumps(memory.value, ensure_ascii=False)))


def _trust(memory: Memory) -> str:
    return "yes" if memory.origin.trusted else "no"


def _until(memory: Memory) -> str:
    if memory.valid_to is None:
        return "now"
    return "disputed" if memory.valid_from == memory.valid_to else _time(memory.valid_to)


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _SHOWN_CHARS else f"{cell[: _SHOWN_CHARS - 1]}…"


def _as_json(memory: Memory) -> dict[str, Any]:
    return {name: value for name, value in asdict(memory).items() if name != "namespace"}
