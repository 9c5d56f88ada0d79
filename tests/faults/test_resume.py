"""A run that is killed at any moment is finished by `boring resume`."""

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import boring

_random = random.Random(20261122)  # noqa: S311 - a repeatable choice, nothing secret
MOMENTS = [round(_random.random(), 3) for _ in range(6)]
"""When a run is killed, as parts of the time that a whole one takes."""


def counting(request: dict[str, Any]) -> Reply:
    """Call the calculator three times, one after the other, then answer with what it said."""
    results = [message["content"] for message in request["messages"] if message["role"] == "tool"]
    if len(results) < 3:
        call = ToolCall("calculator", {"expression": f"{len(results) + 1} * 7"})
        return Reply(tool_calls=(call,), delay_s=0.05)
    return Reply(text=f"They are {', '.join(results)}.", token_delay_s=0.01)


def environment(model: ScriptedModel, postgres_url: str, folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DATABASE_URL": postgres_url,
        "BORING_DATA_DIR": str(folder / "data"),
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": model.api_key,
        "BORING_EMBEDDING_BASE_URL": model.base_url,
    }


async def started(
    *arguments: str, env: dict[str, str], by: Sequence[str] = (sys.executable, "-m", "app.main")
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *by, *arguments, env=env, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )


async def rows(url: str, statement: Any) -> list[Any]:
    async with await AsyncConnection.connect(url) as connection:
        return await (await connection.execute(statement)).fetchall()


@pytest.fixture(scope="module")
def whole_s(
    command: Sequence[str],
    database_url: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> float:
    """How long a whole run takes once it has begun, in seconds."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"create database whole template {migrated_template}".encode())
        own = database_url.replace("/boring?", "/whole?")
        taken = asyncio.run(_measured(command, own, tmp_path_factory.mktemp("whole")))
        connection.execute("drop database whole with (force)")
    return taken


async def _measured(command: Sequence[str], url: str, folder: Path) -> float:
    async with ScriptedModel(counting) as model:
        return await _seconds_of_a_run(command, environment(model, url, folder))


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_run_killed_at_a_random_moment_is_finished(
    command: Sequence[str], moment: float, whole_s: float, postgres_url: str, tmp_path: Path
) -> None:
    async with ScriptedModel(counting) as model:
        env = environment(model, postgres_url, tmp_path)
        running = await started("ask", "Count", "--thread", "killed", env=env, by=command)
        assert running.stdout
        assert "thread killed" in (await running.stdout.readline()).decode()
        await asyncio.sleep(moment * whole_s)
        if running.returncode is None:
            running.send_signal(signal.SIGKILL)
        await running.communicate()
        resumed = await boring("resume", "killed", "--json", env=env)
        assert resumed.code == 0, resumed.err
        assert json.loads(resumed.out)["answer"] == "They are 7, 14, 21."
    assert await rows(postgres_url, "select status from boring.run") == [("finished",)]
    assert await rows(postgres_url, "select count(*) from boring.tool_call") == [(3,)]


async def _seconds_of_a_run(command: Sequence[str], env: dict[str, str]) -> float:
    whole = await started("ask", "Count", "--thread", "whole", env=env, by=command)
    assert whole.stdout
    await whole.stdout.readline()
    begun = asyncio.get_running_loop().time()
    _, err = await whole.communicate()
    assert whole.returncode == 0, err.decode()
    return asyncio.get_running_loop().time() - begun


async def test_a_run_that_has_ended_is_not_run_again(postgres_url: str, tmp_path: Path) -> None:
    async with ScriptedModel(counting) as model:
        env = environment(model, postgres_url, tmp_path)
        whole = await boring("ask", "Count", "--thread", "whole", env=env)
        assert whole.code == 0, whole.err
        asked = len(model.requests)
        again = await boring("resume", "whole", "--json", env=env)
        assert again.code == 0, again.err
        assert json.loads(again.out)["answer"] == "They are 7, 14, 21."
        assert len(model.requests) == asked


async def test_two_processes_do_not_work_on_one_thread(
    command: Sequence[str], postgres_url: str, tmp_path: Path
) -> None:
    async with ScriptedModel([Reply(text="slow", delay_s=30)]) as model:
        env = environment(model, postgres_url, tmp_path)
        first = await started("ask", "Count", "--thread", "shared", env=env, by=command)
        while not model.requests:  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.05)
        second = await boring("resume", "shared", env=env)
        first.kill()
        await first.communicate()
    assert second.code == 2
    assert "Another process or request is working on the thread 'shared'" in second.err


async def test_a_thread_that_nobody_knows_is_said_so(postgres_url: str, tmp_path: Path) -> None:
    async with ScriptedModel(counting) as model:
        resumed = await boring("resume", "nobody", env=environment(model, postgres_url, tmp_path))
    assert resumed.code == 2
    assert "There is no thread 'nobody'" in resumed.err


async def test_ctrl_c_ends_a_run_cleanly_and_it_can_be_resumed(postgres_url: str, tmp_path: Path) -> None:
    async with ScriptedModel([Reply(text="late", delay_s=60), "Done."]) as model:
        env = environment(model, postgres_url, tmp_path)
        running = await started("ask", "Count", "--thread", "stopped", env=env)
        while not model.requests:  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, err = await running.communicate()
        assert running.returncode == 130
        assert "boring resume" in err.decode()
        assert "Traceback" not in err.decode()
        resumed = await boring("resume", "stopped", "--json", env=env)
        assert json.loads(resumed.out)["answer"] == "Done."
