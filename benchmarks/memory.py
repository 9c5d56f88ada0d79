"""What memory costs and finds, side by side with the stock parts, in one run on a Postgres of its own.

Each part tells what it found. Then come the figures, one `name=value` a line, and all of them as JSON.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import psycopg
from pydantic import SecretStr
from rich.console import Console

from benchmarks.memory_runs import CONCURRENT, NODES, run_rates
from benchmarks.memory_storage import CHARS, sizes_after
from core.process import opened_process
from core.settings import Settings
from evals.crashes.place import embedded_database

Part = Callable[[Console], Awaitable[dict[str, float]]]
"""Measures something in the process that is open, tells about it, and returns its figures by name."""


async def _runs(console: Console) -> dict[str, float]:
    rates = await run_rates(rounds=5, runs=10 * CONCURRENT)
    console.print(
        f"{CONCURRENT} runs of {NODES} nodes at once: AsyncPostgresSaver {rates.stock:.1f} runs/s, "
        f"ours {rates.ours:.1f} runs/s, ours with the channel of our agents {rates.logged:.1f} runs/s"
    )
    return {"runs_per_s_ratio": rates.ratio}


async def _storage(console: Console) -> dict[str, float]:
    turns = (50, 100, 200, 400)
    sizes = await sizes_after(turns)
    for name, each in (("add_messages on AsyncPostgresSaver", sizes.stock), ("our agent", sizes.ours)):
        listed = ", ".join(f"{many} turns {size:.2f} MB" for many, size in zip(turns, each, strict=True))
        console.print(f"A thread of {CHARS} characters a message, {name}: {listed}")
    return {
        "storage_mb_200_turns": sizes.ours[2],
        "storage_mb_200_turns_stock": sizes.stock[2],
        "storage_growth_200_to_400": sizes.ours[3] / sizes.ours[2],
    }


PARTS: Final[Mapping[str, Part]] = {"storage": _storage, "runs": _runs}


async def measure(names: list[str], database_url: str, console: Console) -> dict[str, float]:
    """Return the figures of parts, each measured on the same database."""
    figures: dict[str, float] = {}
    async with opened_process(Settings(database_url=SecretStr(database_url))):
        for name in names:
            figures |= await PARTS[name](console)
    return figures


def _make_durable(database_url: str) -> None:
    """Let commits wait for the disk, as they do wherever data counts."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter system reset fsync")
        connection.execute("select pg_reload_conf()")


def main() -> int:
    """Measure the parts and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all of them, if none is named")
    names = parser.parse_args().parts or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with embedded_database() as url:
        _make_durable(url)
        figures = asyncio.run(measure(names, url, Console()))
    for name, value in figures.items():
        print(f"{name}={value:.4g}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
