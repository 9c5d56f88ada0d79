"""Bars for what takes long to fetch."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from core.progress import Progress


@contextmanager
def download_bars(console: Console) -> Generator[Progress]:
    """Yield a progress callback that draws one bar for each thing that is fetched, from its first byte on."""
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=False,
    )
    tasks: dict[int, object] = {}

    def progress(*, done: int, total: int, what: str) -> None:
        if total not in tasks:
            bars.start()
            tasks[total] = bars.add_task(what, total=total)
        bars.update(tasks[total], completed=done, description=what)  # pyright: ignore[reportArgumentType]
        if bars.finished:
            bars.stop()

    try:
        yield progress
    finally:
        if tasks:  # stopped unused, it would still write an empty line
            bars.stop()
