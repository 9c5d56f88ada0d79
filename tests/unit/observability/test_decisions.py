from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.database import opened_database
from core.settings import Settings
from observability.decisions import Decision, record_decisions


@pytest.mark.parametrize(("steps", "rows"), [((1, 1), 1), ((1, 2), 2)])
async def test_a_step_that_runs_again_leaves_one_row_with_the_newer_decision(
    postgres_url: str, tmp_path: Path, steps: tuple[int, int], rows: int
) -> None:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_database(settings) as database:
        for step, choice in zip(steps, ("b", "c"), strict=True):
            decision = Decision("t", "r", step, "fallback", choice, ["a", choice], "a: HTTP 500")
            await record_decisions(database, [decision, replace(decision, part=1)])
            await record_decisions(database, [decision])
        async with database.pool.connection() as connection:
            found = await connection.execute("select choice, candidates from boring.decision order by step")
            held = await found.fetchall()
    assert len(held) == rows
    assert held[-1] == {"choice": "c", "candidates": ["a", "c"]}
