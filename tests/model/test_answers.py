"""The embedded model answers real questions over the project's own documents."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENOUGH = 16


@pytest.mark.model
@pytest.mark.timeout(1500)
async def test_most_of_the_real_questions_are_answered_right_with_their_source(postgres_url: str) -> None:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.answers",
        cwd=ROOT, env={**os.environ, "DATABASE_URL": postgres_url}, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    out, err = await running.communicate()
    assert running.returncode == 0, err.decode()
    figures = json.loads(out.decode().splitlines()[-1])
    assert figures["asked"] == 20
    wrong = [result for result in figures["results"] if not (result["right"] and result["cited"])]
    assert figures["right_and_cited"] >= ENOUGH, wrong
