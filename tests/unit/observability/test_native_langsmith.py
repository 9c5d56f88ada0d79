"""LangSmith's own tracing: what its client sends holds no private data, and no exit waits for it for long."""

import asyncio
import json
import os
import sys
import time
from email import message_from_bytes
from pathlib import Path
from typing import Any

import zstandard
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langsmith.run_trees import get_cached_client
from langsmith.utils import tracing_is_enabled
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import ScriptedModel
from observability.tracing import CLOSING_S, current_tracing
from tests.trace_places import LANGSMITH_INFO, Place, Request, opened_place

SECRET = "ghp_" + "a" * 36
TOLD = f"my token is {SECRET}, my mail ada@example.org"
_TRACED = """
import asyncio
from langchain_core.runnables import RunnableLambda
from core.process import opened_process
from observability.tracing import current_tracing

async def main():
    async with opened_process():
        await current_tracing()
        await RunnableLambda(lambda said: said).ainvoke("hello")
    print("done", flush=True)

asyncio.run(main())
"""


def traced_natively(place: Place, postgres_url: str, folder: Path) -> Settings:
    """Return settings under which LangSmith's own client traces to a place; it answers as LangSmith does."""
    place.answers = LANGSMITH_INFO
    return Settings(
        database_url=SecretStr(postgres_url),
        data_dir=folder,
        cache_dir=folder,
        langsmith_tracing=True,
        langsmith_endpoint=place.url,
        langsmith_api_key=SecretStr("lsv2_1"),
    )


def unpacked(request: Request) -> bytes:
    """Return what the client has sent, which it packs."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(request.body)


async def test_runs_arrive_at_langsmith_without_private_data(postgres_url: str, tmp_path: Path) -> None:
    async with opened_place() as place:
        settings = traced_natively(place, postgres_url, tmp_path)
        async with opened_process(settings):
            await current_tracing()
            await compressing()
            echo = RunnableLambda(lambda said: f"heard {said}")
            named: Any = {"run_name": TOLD, "tags": [TOLD], "metadata": {"told": TOLD}}
            assert await echo.ainvoke(TOLD, named) == f"heard {TOLD}"
        assert not tracing_is_enabled()
        [request] = [one for one in place.requests if one.path == "/runs/multipart"]
    assert request.headers["x-api-key"] == "lsv2_1"
    assert request.headers["content-encoding"] == "zstd"
    body = unpacked(request)
    assert SECRET not in body.decode()
    assert "ada@" not in body.decode()
    parts = parts_of(request.headers["content-type"], body)
    [run_id] = {name.split(".")[1] for name in parts}
    begun, ended = parts[f"post.{run_id}"], parts[f"patch.{run_id}"]
    for one in (begun, ended):
        assert (one["id"], one["trace_id"]) == (run_id, run_id)
        assert one["dotted_order"].endswith(run_id)
    assert (begun["run_type"], begun["session_name"]) == ("chain", "default")
    assert begun["start_time"] <= ended["end_time"]
    told = parts[f"post.{run_id}.inputs"]["input"]
    assert (begun["name"], begun["tags"]) == (told, [told])
    assert told == "my token is [API_KEY], my mail [EMAIL]"
    assert parts[f"patch.{run_id}.outputs"] == {"output": f"heard {told}"}


async def test_how_a_model_and_a_prompt_were_made_arrives_without_private_data(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place, ScriptedModel(["Hello."]) as model:
        settings = traced_natively(place, postgres_url, tmp_path)
        async with opened_process(settings):
            await current_tracing()
            await compressing()
            llm = ChatOpenAI(
                base_url=model.base_url.replace("//", "//ada:analytical1@"),
                api_key=SecretStr("unused"),
                default_headers={"X-Token": SECRET},
            )
            await (ChatPromptTemplate.from_messages([("system", TOLD), ("user", "{asked}")]) | llm).ainvoke(
                {"asked": "?"}
            )
        sent = "".join(unpacked(one).decode() for one in place.requests if one.path == "/runs/multipart")
    assert sent.count(".serialized") == 2
    assert [left for left in (SECRET, "ada@", "analytical1") if left in sent] == []


def parts_of(content_type: str, body: bytes) -> dict[str, Any]:
    """Read what LangSmith's multipart interface takes: each part is JSON, has a name and tells its length."""
    parts: dict[str, Any] = {}
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    assert message.get_content_type() == "multipart/form-data"
    for part in message.walk():
        if part is message:
            continue
        name, read = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(read, bytes)
        assert part.get_content_type() == "application/json"
        assert part["content-length"] == str(len(read))
        parts[name] = json.loads(read)
    return parts


async def compressing() -> None:
    """Wait until the client knows that LangSmith takes compressed runs."""
    client, deadline = get_cached_client(), time.monotonic() + 30
    while client.compressed_traces is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_langsmith_that_never_answers_does_not_hold_up_the_exit(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        place.hangs, place.answers = "/runs", LANGSMITH_INFO
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DATABASE_URL": postgres_url,
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": place.url,
            "LANGSMITH_API_KEY": "lsv2_1",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _TRACED,
            env=env,
            cwd=Path(__file__).parents[3],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await place.arrived.wait()
        begun = time.monotonic()
        out, err = await process.communicate()
        took = time.monotonic() - begun
    assert (process.returncode, out) == (0, b"done\n"), err.decode()
    assert took < CLOSING_S + 1.5
