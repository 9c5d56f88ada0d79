"""A sample of the crash enumeration; `python -m benchmarks.crash` runs all of it."""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.crashes.model import PLANS

ROOT = Path(__file__).resolve().parents[2]
DURABILITIES = {"async": ("async",), "both": ("sync", "async")}
FIGURES = ("points", "duplicated", "lost", "asked_twice", "stuck")


@pytest.fixture
def folder(server_place: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="boring-crash-test-", dir=server_place))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def enumerated(folder: Path, *options: str) -> tuple[int, str]:
    """Run the enumeration; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.crash", "--lanes", "4", "--seed", "20261122", *options),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode or 0, printed.decode()


def figures(printed: str) -> dict[str, int]:
    """Return the figures of the last line."""
    last = printed.splitlines()[-1]
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", last)}


def running_in(folder: Path) -> list[bytes]:
    """Return the processes that were started with a path in the folder."""
    found: list[bytes] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        found += [command] if os.fsencode(folder) in command else []
    return found


async def all_stopped(folder: Path) -> None:
    """Wait until nothing runs in the folder; the server's watchdog ends a moment after its last client."""
    while running_in(folder):  # noqa: ASYNC110 - what is awaited happens in processes of nobody
        await asyncio.sleep(0.05)


def nothing_left(folder: Path) -> bool:
    return list(folder.iterdir()) == []


async def sampled(folder: Path, durability: str, singles: str, *options: str) -> str:
    """Return what a sample of the enumeration printed; it ends well, and leaves nothing."""
    sample = ("--singles", singles, "--doubles", "1", "--durability", durability)
    code, printed = await enumerated(folder, *sample, *options)
    assert code == 0, printed
    await all_stopped(folder)
    assert nothing_left(folder)
    return printed


@pytest.mark.parametrize(
    ("durability", "singles", "points"),
    [("async", "0", 4), pytest.param("both", "3", 32, marks=pytest.mark.slow)],
)
async def test_no_sampled_crash_repeats_loses_or_asks_twice(
    folder: Path, durability: str, singles: str, points: int
) -> None:
    printed = await sampled(folder, durability, singles)
    assert figures(printed) == {**dict.fromkeys(FIGURES, 0), "points": points}, printed
    kinds = {f"{one}, {plan}" for one in DURABILITIES[durability] for plan in PLANS}
    assert {line.split(":")[0] for line in printed.splitlines() if "boundaries" in line} == kinds


@pytest.mark.slow
async def test_without_the_journal_the_sample_finds_duplicates(folder: Path) -> None:
    printed = await sampled(folder, "both", "1", "--no-journal")
    found = figures(printed)
    assert found["points"] == 16
    assert found["duplicated"] > 0, printed
