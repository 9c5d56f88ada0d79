"""`boring memory`: what is known is listed, searched, shown with its history, forgotten, learnt."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pytest

from app.pending import Request, write_down
from core.context import RunContext
from core.worker import LOCK_OF
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import boring, environment

ADA = ("--user", "ada", "--tenant", "acme")
Run = Callable[..., Awaitable[str]]
CHANGED = {"BORING_EMBEDDING_DOCUMENT_PREFIX": "passage: "}


def says(request: dict[str, Any]) -> Reply | str:
    names = [tool["function"]["name"] for tool in request.get("tools", ())]
    if "Facts" in names:
        fact = {"message": 1, "subject": "drink", "text": "The user likes tea."}
        return Reply(tool_calls=(ToolCall("Facts", {"told": "drink", "facts": [fact]}),))
    return "Hello."


@pytest.fixture
async def run(postgres_url: str, tmp_path: Path) -> AsyncIterator[Run]:
    async with ScriptedModel(says) as model:
        env = environment(
            tmp_path,
            postgres_url,
            OPENAI_BASE_URL=model.base_url,
            OPENAI_API_KEY=model.api_key,
            BORING_MODEL="scripted",
            BORING_EMBEDDING_MODEL="scripted",
            BORING_EMBEDDING_BASE_URL=model.base_url,
            BORING_MEMORY="1",
        )

        async def running(*words: str, code: int = 0, changed: Mapping[str, str] | None = None) -> str:
            ended = await boring(*words, env=env | dict(changed or {}), cwd=tmp_path)
            assert ended.code == code, ended
            return ended.out + ended.err

        yield running


async def test_facts_are_remembered_searched_superseded_and_forgotten(run: Run) -> None:
    assert await run("memory", "list", *ADA) == "Nothing is known.\n"
    await run("memory", "remember", "drink", "Ada likes \x1b[31m coffee.", *ADA)
    listed = (await run("memory", "list", *ADA)).splitlines()
    assert listed[0].split("\t") == ["subject", "what", "kind", "trusted", "since", "uses"]
    assert listed[1].split("\t")[:4] == ["drink", "Ada likes \\u001b[31m coffee.", "fact", "yes"]
    await run("memory", "remember", "drink", "Ada likes tea.", *ADA)
    (found,) = json.loads(await run("memory", "search", "What does she drink?", *ADA, "--json"))
    assert found["value"]["text"] == "Ada likes tea."
    assert await run("memory", "list") == "Nothing is known.\n"
    versions = (await run("memory", "history", "drink", *ADA)).splitlines()
    assert [line.split("\t")[1] == "now" for line in versions[1:]] == [False, True]
    assert await run("memory", "forget", "drink", *ADA) == "2 versions forgotten.\n"
    assert await run("memory", "forget", "drink", *ADA) == "Nothing was known about it.\n"
    assert "is no name of a user" in await run("memory", "list", "--user", " ", code=2)
    told = await run("memory", "remember", token_hex(3_000), "tea", *ADA, code=2)
    assert "expected at most 2,600" in told
    assert "Traceback" not in told
    told = await run("memory", "remember", "drink", "tea", "--user", token_hex(3_000), code=2)
    assert "Traceback" not in told


async def test_a_turn_of_ask_is_learnt_and_its_user_forgotten_whole(run: Run) -> None:
    await run("ask", "I like tea.", "--user", "ada", "--thread", "t")
    assert "The user likes tea." in await run("memory", "list", "--user", "ada")
    assert await run("memory", "learn") == "Nothing is left to learn from.\n"
    assert "1 memories" in await run("memory", "forget-user", "ada", "--dry-run")
    await run("memory", "forget-user", "ada", code=1)  # nobody says yes
    assert "The user likes tea." in await run("memory", "list", "--user", "ada")
    told = await run("memory", "forget-user", "ada", "--yes")
    assert told.endswith("Left: 0 rows (nothing).\n")
    done = json.loads(await run("memory", "forget-user", "ada", "--yes", "--json"))
    assert (sum(done["found"].values()), sum(done["left"].values())) == (0, 0)


async def test_a_turn_that_was_given_up_is_named_until_it_is_tried_again(run: Run, postgres_url: str) -> None:
    await run("ask", "I like tea.", "--user", "ada", "--thread", "t", changed={"BORING_MEMORY": "0"})
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(
            "insert into boring.extraction (run_id, thread_id, tenant, user_id, graph, messages, worker,"
            " attempts) select run_id, 't', 'local', 'ada', 'single', %s, 'gone', 3 from boring.run",
            (json.dumps([{"by": "user", "text": "I like tea.", "id": "m"}]),),
        )
    told = await run("memory", "learn")
    assert "t: given up after 3 attempts: the process ended while it learnt" in told
    assert "boring memory learn --failed" in told
    assert "t: The user likes tea." in await run("memory", "learn", "--failed")
    assert await run("memory", "learn") == "Nothing is left to learn from.\n"


def written_down_for(user: str, folder: Path) -> Path:
    request = Request("t2", "r2", "Who am I?", asdict(RunContext(user=user)))
    write_down(folder / "data", request)
    return folder / "data" / "pending" / "t2.json"


async def test_a_refused_forgetting_changes_nothing_also_not_what_is_written_down(
    run: Run, postgres_url: str, tmp_path: Path
) -> None:
    file = written_down_for("ada", tmp_path)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as worker:
        await worker.execute(
            "insert into boring.run (thread_id, run_id, graph, status, question, context) values"
            """ ('t', 'r', 'g', 'running', 'x', '{"user": "ada", "tenant": "local"}')"""
        )
        await worker.execute("insert into boring.thread_lease (thread_id, worker) values ('t', 'w')")
        await worker.execute(f"select pg_advisory_lock({LOCK_OF})", ("w",))
        told = await run("memory", "forget-user", "ada", "--yes", code=2)
        assert "Nothing was forgotten" in told
        assert file.exists()
    done = json.loads(await run("memory", "forget-user", "ada", "--yes", "--json"))
    assert (done["found"]["requests written down"], done["left"]["requests written down"]) == (1, 0)
    assert not file.exists()


async def test_what_is_written_down_and_not_begun_is_counted_and_that_of_others_stays(
    run: Run, tmp_path: Path
) -> None:
    file = written_down_for("bob", tmp_path)
    assert "requests written down" not in await run("memory", "forget-user", "ada", "--dry-run")
    assert "1 requests written down" in await run("memory", "forget-user", "bob", "--dry-run")
    await run("memory", "forget-user", "ada", "--yes")
    assert file.exists()


async def test_memories_and_documents_are_embedded_anew_by_the_model_of_the_settings(
    run: Run, tmp_path: Path
) -> None:
    await run("memory", "remember", "drink", "Ada likes tea.", *ADA)
    (tmp_path / "kettle.md").write_text("The kettle boils at 96 degrees.")
    await run("index", "kettle.md", "--tenant", "acme")
    of_acme = ("memory", "reembed", "--tenant", "acme")
    assert await run(*of_acme) == "0 memories and 0 documents embedded anew.\n"
    asked = ("memory", "search", "tea", *ADA)
    assert "Ada likes tea." in await run(*asked, changed=CHANGED)
    (tmp_path / "kettle.md").unlink()
    assert await run(*of_acme, changed=CHANGED) == "1 memories and 1 documents embedded anew.\n"
    again = json.loads(await run(*of_acme, "-q", "--json", changed=CHANGED))
    assert again == {"embedded": 0, "documents": 0}
    assert "Ada likes tea." in await run(*asked, changed=CHANGED)
