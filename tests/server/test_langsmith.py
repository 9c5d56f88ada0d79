"""What a server sends to LangSmith: nothing unless it is told to, and then no private data."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from tests.trace_places import LANGSMITH_INFO, Place, Request, opened_place

SECRET = "ghp_" + "a" * 36


@pytest.fixture
def langsmith() -> Iterator[Place]:
    """A place in a thread of its own: tests here are plain functions."""
    ready, end = threading.Event(), asyncio.Event()
    opened: list[tuple[Place, asyncio.AbstractEventLoop]] = []

    async def listen() -> None:
        async with opened_place() as place:
            place.answers = LANGSMITH_INFO
            opened.append((place, asyncio.get_running_loop()))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(listen(),))
    thread.start()
    assert ready.wait(10)
    place, loop = opened[0]
    yield place
    loop.call_soon_threadsafe(end.set)
    thread.join(10)


def said_in(request: Request) -> str:
    if request.headers.get("content-encoding") == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(request.body).decode()
    return request.body.decode()


@pytest.mark.parametrize("tracing", [None, "true"])
def test_a_key_alone_sends_nothing_and_what_is_sent_holds_no_secret(
    serving: Any, opened: Any, langsmith: Place, tracing: str | None
) -> None:
    told = {"LANGSMITH_TRACING": tracing} if tracing else {}
    key = {"LANGSMITH_API_KEY": "key", "LANGSMITH_ENDPOINT": langsmith.url}
    started = serving("--port", "0", **key, **told).wait_until_ready()
    with opened(started) as client:
        asked = {"messages": [{"role": "user", "content": f"My token is {SECRET}."}]}
        client.runs.wait(None, "single", input=asked)
    latest = time.monotonic() + (20 if tracing else 1)
    while not any(one.path == "/runs/multipart" for one in langsmith.requests) and time.monotonic() < latest:
        time.sleep(0.05)
    assert started.end() == 0
    sent = [(one.path, said_in(one)) for one in langsmith.requests if one.body]
    assert {path for path, _ in sent} == ({"/runs/multipart"} if tracing else set())
    assert SECRET not in "".join(said for _, said in sent)
    assert "[API_KEY]" in "".join(said for _, said in sent) or not tracing
