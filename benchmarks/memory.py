"""What memory costs and finds, side by side with the stock parts, in one run on a Postgres of its own.

Each part tells what it found. Then come the figures, one `name=value` a line, and all of them as JSON.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import psycopg
from pydantic import SecretStr
from rich.console import Console

from benchmarks.memory_questions import SET, fetched_pairs, gains
from benchmarks.memory_rows import HOW_MADE
from benchmarks.memory_runs import CONCURRENT, NODES, run_rates
from benchmarks.memory_scale import (
    UNINDEXED,
    Found,
    filled,
    index_watched,
    knowing,
    measured,
    our_search,
    search_of_stock,
    stock_store,
)
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


async def _recall(console: Console) -> dict[str, float]:
    tenants, each = 100, 1000
    known, questions = await filled(tenants=tenants, rows_each=each)
    console.print(f"{tenants * each:,} memories of {tenants} tenants; {HOW_MADE}", highlight=False)
    async with knowing(known), stock_store(known) as stock:
        found = await measured({"ours": our_search(), "stock": search_of_stock(stock)}, questions)
    for name, label in (("stock", "AsyncPostgresStore, its HNSW index"), ("ours", "ours, exact")):
        _tell(console, f"One tenant's {each:,}, {label}, recall@10 {found[name].recall:.4f}", found[name])
    return {
        "recall_at_10": found["ours"].recall,
        "recall_at_10_stock": found["stock"].recall,
        "latency_ratio": found["ours"].ms / found["stock"].ms,
    }


def _million(rows: int) -> Part:
    async def measure(console: Console) -> dict[str, float]:
        each = 10_000
        tenants = max(2, rows // each)
        known, questions = await filled(tenants=tenants, rows_each=each)
        console.print(f"{tenants * each:,} memories of {tenants} tenants; {HOW_MADE}", highlight=False)
        async with knowing(known):
            built_s = await index_watched()
        async with knowing(known, memory_exact_rows=each):
            found = await measured({"exact": our_search(UNINDEXED), "indexed": our_search()}, questions)
        exact, indexed = found["exact"], found["indexed"]
        _tell(console, f"Another tenant's {each:,}, exact", exact)
        _tell(console, f"One tenant's {each:,}, by indexes built in {built_s:.0f} s", indexed)
        console.print(f"By indexes: recall@10 {indexed.recall:.4f}", highlight=False)
        return {
            "rows_1m": tenants * each,
            "recall_1m": indexed.recall,
            "latency_1m_ratio": indexed.ms / exact.ms,
            "latency_1m_ratio_meaning": indexed.meaning_ms / exact.meaning_ms,
        }

    return measure


async def _hybrid(console: Console) -> dict[str, float]:
    pairs = await fetched_pairs()
    by_ranking = await gains(pairs)
    half = len(pairs) // 2
    console.print(f"{len(pairs)} questions, each with its own answer among as many: {SET}", highlight=False)
    for label, part in (("first half", slice(half)), ("second half", slice(half, None))):
        means = ", ".join(f"{name} {statistics.mean(got[part]):.4f}" for name, got in by_ranking.items())
        console.print(f"nDCG@10, {label}: {means}", highlight=False)
    means = {name: statistics.mean(got[half:]) for name, got in by_ranking.items()}
    return {
        "hybrid_ndcg": means["both"],
        "hybrid_gain": means["both"] / max(means["meaning"], means["words"]),
    }


def _tell(console: Console, what: str, found: Found) -> None:
    console.print(
        f"{what}: median {found.ms:.2f} ms with words, {found.meaning_ms:.2f} ms by meaning only",
        highlight=False,
    )


ROWS: Final = 1_000_000
PARTS: Final[Mapping[str, Part]] = {
    "storage": _storage,
    "runs": _runs,
    "recall": _recall,
    "million": _million(ROWS),
    "hybrid": _hybrid,
}


async def measure(
    names: list[str], database_url: str, console: Console, *, rows: int = ROWS
) -> dict[str, float]:
    """Return the figures of parts, each measured on the same database."""
    parts = {**PARTS, "million": _million(rows)}
    figures: dict[str, float] = {}
    async with opened_process(Settings(database_url=SecretStr(database_url))):
        for name in names:
            figures |= await parts[name](console)
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
    parser.add_argument("--rows", type=int, default=ROWS, help="memories of the part million")
    given = parser.parse_args()
    names: list[str] = given.parts or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with embedded_database() as url:
        _make_durable(url)
        figures = asyncio.run(measure(names, url, Console(), rows=given.rows))
    for name, value in figures.items():
        print(f"{name}={value:.4g}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
