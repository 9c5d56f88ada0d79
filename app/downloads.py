"""Bars for what takes long to fetch."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Column

from core.progress import Progress


@contextmanager
def download_bars(console: Console) -> Generator[Progress]:
    """Yield a progress callback that draws one bar for each thing that is fetched, from its first byte on.

    Where there is no terminal, each stage of a fetch is one line.
    """
    if not console.is_terminal:
        yield _lines(console)
        return
    bars = Bars(
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        expand=True,
    )
    tasks: dict[int, TaskID] = {}

    def progress(*, done: int, total: int, what: str) -> None:
        if total not in tasks:
            bars.start()
            tasks[total] = bars.add_task(what, total=total)
        bars.update(tasks[total], completed=done, description=what)

    try:
        yield progress
    finally:
        if tasks:  # stopped unused, it would still write an empty line
            bars.stop()


def _lines(console: Console) -> Progress:
    said: set[str] = set()

    def progress(*, done: int, total: int, what: str) -> None:
        del done
        if what not in said:
            said.add(what)
            console.print(f"{what} ({total / 1_000_000:,.0f} MB)", highlight=False, soft_wrap=True)

    return progress
