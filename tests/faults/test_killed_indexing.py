"""`boring index` and `boring memory reembed`, killed: the next run does what is left, and nothing twice."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import psycopg

from evals.scripted_model import ScriptedModel
from tests.commands import boring, environment

FILES = 12


async def started(folder: Path, env: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.main", *words, "--json"),
        env=env,
        cwd=folder,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


async def report(folder: Path, env: dict[str, str], *options: str) -> dict[str, Any]:
    ended = await boring("index", str(folder), "--json", *options, env=env, cwd=folder)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


async def test_an_indexing_that_was_killed_goes_on_where_it_was(postgres_url: str, tmp_path: Path) -> None:
    folder = filled(tmp_path)
    async with ScriptedModel(dimensions=64) as model:
        env = environment_with(model, tmp_path, postgres_url)
        running = await started(folder, env, "index", str(folder))
        done = await killed_after_some(running, postgres_url)
        assert 2 <= done < FILES
        after = await report(folder, env)
        assert after["unchanged"] >= done
        assert after["unchanged"] + after["added"] == FILES
        assert (await report(folder, env))["unchanged"] == FILES
        assert passages(postgres_url) == [(f"Part {number}", "local") for number in range(FILES)]
        assert (await report(folder, env, "--tenant", "acme"))["added"] == FILES
        assert len(passages(postgres_url)) == 2 * FILES


async def test_an_embedding_anew_that_was_killed_goes_on_where_it_was(
    postgres_url: str, tmp_path: Path
) -> None:
    folder = filled(tmp_path)
    async with ScriptedModel(dimensions=64) as model:
        before = environment_with(model, tmp_path, postgres_url)
        assert (await report(folder, before))["added"] == FILES
        env = before | {"BORING_EMBEDDING_DOCUMENT_PREFIX": "passage: "}
        running = await started(folder, env, "memory", "reembed")
        done = await killed_after_some(running, postgres_url, "?document=passage%3A+")
        assert 2 <= done < FILES
        ended = await boring("memory", "reembed", "--json", env=env, cwd=folder)
        assert json.loads(ended.out)["documents"] <= FILES - done, ended
        assert (await report(folder, env))["unchanged"] == FILES
        assert passages(postgres_url) == [(f"Part {number}", "local") for number in range(FILES)]


def filled(place: Path) -> Path:
    folder = place / "documents"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}.md").write_text(
            f"# Part {number}\n\nThe word of part {number} is w{number}.\n"
        )
    return folder


def environment_with(model: ScriptedModel, folder: Path, url: str) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return environment(folder, url, PYTHONPATH=root, BORING_EMBEDDING_BASE_URL=model.base_url)


async def killed_after_some(running: asyncio.subprocess.Process, url: str, model: str = "") -> int:
    """Kill the command once it has stored two documents; return how many there are then.

    Args:
        running: the command.
        url: where it stores them.
        model: what the name of the embedding model ends in.
    """
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def count() -> int:
            done = "select count(*) from boring.document where content_hash <> ''"
            done += " and right(embedding_model, %s) = %s"
            row = await (await connection.execute(done, (len(model), model))).fetchone()
            return row[0] if row else 0

        async with asyncio.timeout(60):
            while await count() < 2:  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        await running.communicate()
        return await count()


def passages(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        (table,) = connection.execute("select distinct chunk_table from boring.document").fetchall()
        rows = connection.execute(f"select section, tenant from boring.{table[0]}").fetchall()  # pyright: ignore[reportArgumentType, reportCallIssue]  # noqa: S608
    return sorted(((row[0], row[1]) for row in rows), key=lambda row: (row[1] != "local", int(row[0][5:])))
