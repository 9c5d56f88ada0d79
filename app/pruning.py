"""The command that deletes what is not to be kept of threads: prune."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.asking import JsonOption
from app.running import run
from app.since import time_span
from core.errors import ConfigurationError
from core.settings import settings

if TYPE_CHECKING:
    from memory.retention import Retention, Swept

IdleOption = Annotated[
    timedelta | None,
    typer.Option(
        parser=time_span,
        metavar="TIME",
        help="Delete threads that nobody has used for 90s, 30m, 1h, 7d, 2w.",
        show_default="BORING_RETENTION_IDLE_DAYS",
    ),
]
KeepOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="MANY",
        help="Keep that many of the newest checkpoints of each thread.",
        show_default="BORING_RETENTION_CHECKPOINTS",
    ),
]


def prune(
    *,
    idle: IdleOption = None,
    keep: KeepOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete threads that are idle, and the oldest checkpoints of those in use.

    A thread whose last run is not over stays, and so does one that is being used.
    """
    from memory.retention import Retention, configured_retention  # noqa: PLC0415 - commands import what they need when they run

    set_up = configured_retention(settings())
    retention = Retention(idle or set_up.idle, keep or set_up.checkpoints)
    if retention == Retention():
        raise ConfigurationError(
            "Nothing says what is not to be kept. Give --idle 90d, --keep 100 or both, or set "
            "BORING_RETENTION_IDLE_DAYS or BORING_RETENTION_CHECKPOINTS."
        )
    swept = run(_swept(retention, dry_run=dry_run), go_on_with="boring prune")
    if as_json:
        typer.echo(json.dumps({**asdict(swept), "dry_run": dry_run}))
        return
    would = "would be " if dry_run else ""
    Console(soft_wrap=True).print(
        f"{swept.deleted} threads {would}deleted, {swept.pruned} {would}pruned: {swept.checkpoints} "
        f"checkpoints, {swept.freed_bytes / 1e6:.1f} MB\n"
        f"{swept.waiting} idle threads stay, since their last run is not over; {swept.busy} are in use",
        highlight=False,
    )


async def _swept(retention: "Retention", *, dry_run: bool) -> "Swept":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from memory.retention import sweep  # noqa: PLC0415

    async with opened_process():
        return await sweep(retention, dry_run=dry_run)
