import asyncio
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from blockbuster import blockbuster_ctx

from core.embedded.flock import wait_until_free
from core.embedded.model_client import Endpoint
from core.embedded.model_plan import ServerFolder, usable_cores
from core.embedded.model_prefix import prefix_folder, remember_prefix
from core.embedded.model_server import embedded_model
from core.embedded.processes import detach
from core.errors import ConfigurationError

CLIENT = """
import asyncio, sys
from pathlib import Path
from core.embedded.model_server import embedded_model

async def main():
    async with embedded_model(Path(sys.argv[1]), cache_dir=Path(sys.argv[2]), linger_s=0) as endpoint:
        print(endpoint.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
PREFIX: list[dict[str, Any]] = [
    {"role": "system", "content": "Pick a tool for the user. " + "This one adds numbers. " * 40},
    {"role": "user", "content": "What is 1 + 1?"},
    {"role": "assistant", "content": "add(1, 1)"},
]


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Path]:
    """A cache folder; after the test every server of it has to end by itself."""
    yield tmp_path
    for lock in await asyncio.to_thread(lambda: list(tmp_path.glob("servers/*/server.lock"))):
        await asyncio.wait_for(asyncio.to_thread(wait_until_free, lock), 20)


@asynccontextmanager
async def client(model: Path, cache: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """Use the model in another process; yield it and the address it got."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, str(model), str(cache)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process, (await process.stdout.readline()).decode().strip()
    process.stdin.close()
    await process.wait()


def server_pid(endpoint: Endpoint) -> int:
    return int(ServerFolder(endpoint.folder).pid.read_text())


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def ended(endpoint: Endpoint) -> None:
    await asyncio.wait_for(asyncio.to_thread(wait_until_free, ServerFolder(endpoint.folder).alive), 20)


async def answer(endpoint: Endpoint, messages: list[dict[str, Any]]) -> dict[str, Any]:
    async with endpoint.client() as http:
        body = {"model": endpoint.model, "messages": messages, "max_tokens": 4, "temperature": 0}
        return (await http.post("/v1/chat/completions", json=body)).raise_for_status().json()


async def test_it_answers_on_loopback_to_its_key_alone(tiny_model: Path, cache: Path) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        said = await answer(endpoint, [{"role": "user", "content": "hi"}])
        assert said["choices"][0]["message"]["role"] == "assistant"
        assert endpoint.base_url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(trust_env=False, verify=False) as stranger:  # noqa: S501 - plain HTTP
            assert (await stranger.get(f"{endpoint.base_url}/models")).status_code == 401
            refused = await stranger.post(f"{endpoint.base_url}/chat/completions", json={"messages": []})
        assert refused.status_code == 401
        assert endpoint.api_key not in repr(endpoint)


async def test_only_its_user_can_read_where_it_is(tiny_model: Path, cache: Path) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        folder = ServerFolder(endpoint.folder)
        assert stat.S_IMODE(folder.endpoint.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert endpoint.api_key not in command_of(server_pid(endpoint))


async def test_processes_share_one_server_that_ends_after_the_last(tiny_model: Path, cache: Path) -> None:
    async with client(tiny_model, cache) as (_, first), client(tiny_model, cache) as (_, second):
        async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
            assert first == second == endpoint.base_url
        await answer(endpoint, [{"role": "user", "content": "still here?"}])
    await ended(endpoint)
    assert not ServerFolder(endpoint.folder).endpoint.exists()


async def test_many_that_start_at_once_start_one(tiny_model: Path, cache: Path) -> None:
    async def use() -> str:
        async with embedded_model(tiny_model, cache_dir=cache, linger_s=1) as endpoint:
            return endpoint.base_url

    async with asyncio.TaskGroup() as group:
        uses = [group.create_task(use()) for _ in range(8)]
    assert len({use.result() for use in uses}) == 1


async def test_a_killed_client_keeps_no_server(tiny_model: Path, cache: Path) -> None:
    async with client(tiny_model, cache) as (process, url):
        assert url
        process.kill()
    folders = await asyncio.to_thread(lambda: list(cache.glob("servers/*")))
    await asyncio.wait_for(asyncio.to_thread(wait_until_free, folders[0] / "server.lock"), 20)


async def test_a_killed_server_is_replaced_for_the_next_client(tiny_model: Path, cache: Path) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        os.kill(server_pid(endpoint), signal.SIGKILL)
        await ended(endpoint)
        async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as another:
            assert another.api_key != endpoint.api_key
            await answer(another, [{"role": "user", "content": "hi"}])


def stop(process: int) -> None:
    """Stop a process, and wait until none of its threads answers any more."""
    os.kill(process, signal.SIGSTOP)
    states = ["running"]
    while any("(stopped)" not in state for state in states):
        states = [file.read_text() for file in Path(f"/proc/{process}/task").glob("*/status")]


async def test_a_server_that_hangs_is_replaced(
    tiny_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        hanging = server_pid(endpoint)
        stop(hanging)
        monkeypatch.setattr("core.embedded.model_client._HEALTH_S", 0.5)
        async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as another:
            assert server_pid(another) != hanging
            await answer(another, [{"role": "user", "content": "hi"}])


async def test_a_starter_that_is_cancelled_leaves_nothing_behind(
    tiny_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detached = threading.Event()

    def detaching(*args: Any, **kwargs: Any) -> None:
        detach(*args, **kwargs)
        detached.set()

    async def use() -> None:
        async with embedded_model(tiny_model, cache_dir=cache, linger_s=0):
            await asyncio.Event().wait()

    monkeypatch.setattr("core.embedded.model_client.detach", detaching)
    starting = asyncio.create_task(use())
    assert await asyncio.to_thread(detached.wait, 20)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_a_file_that_is_no_model_is_named(cache: Path) -> None:
    broken = cache / "broken.gguf"
    broken.write_bytes(b"GGUF and nothing more")
    with pytest.raises(ConfigurationError, match=r"broken\.gguf.*BORING_MODEL_PATH"):
        async with embedded_model(broken, cache_dir=cache):
            pass


async def test_a_missing_file_is_named(cache: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.gguf"):
        async with embedded_model(cache / "gone.gguf", cache_dir=cache):
            pass


async def test_nothing_blocks_the_event_loop(tiny_model: Path, cache: Path) -> None:
    with blockbuster_ctx():
        async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
            assert await remember_prefix(endpoint, PREFIX, cache_dir=cache) == "evaluated"


async def test_a_remembered_beginning_outlives_the_server(tiny_model: Path, cache: Path) -> None:
    asked = [*PREFIX, {"role": "user", "content": "What is 2 + 2?"}]
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        assert await remember_prefix(endpoint, PREFIX, cache_dir=cache) == "evaluated"
        assert await remember_prefix(endpoint, PREFIX, cache_dir=cache) == "held"
        first = await answer(endpoint, asked)
    await ended(endpoint)
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        assert await remember_prefix(endpoint, PREFIX, cache_dir=cache) == "restored"
        second = await answer(endpoint, asked)
    assert second["choices"] == first["choices"]
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 900


async def test_calls_at_the_same_moment_all_find_it_read(tiny_model: Path, cache: Path) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        await remember_prefix(endpoint, PREFIX, cache_dir=cache)
        async with asyncio.TaskGroup() as group:
            asked = [[*PREFIX, {"role": "user", "content": f"What is {n} + 2?"}] for n in range(6)]
            calls = [group.create_task(answer(endpoint, messages)) for messages in asked]
    cached = [call.result()["usage"]["prompt_tokens_details"]["cached_tokens"] for call in calls]
    assert min(cached) > 900


async def test_several_beginnings_are_held_at_once(tiny_model: Path, cache: Path) -> None:
    beginnings = [[{**PREFIX[0], "content": f"{n}: {PREFIX[0]['content']}"}] for n in range(3)]
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        for beginning in beginnings:
            assert await remember_prefix(endpoint, beginning, cache_dir=cache) == "evaluated"
        for beginning in beginnings:
            said = await answer(endpoint, [*beginning, {"role": "user", "content": "hi"}])
            assert said["usage"]["prompt_tokens_details"]["cached_tokens"] > 800


async def test_tools_are_part_of_the_beginning(tiny_model: Path, cache: Path) -> None:
    tool = {"type": "function", "function": {"name": "add", "description": "Add", "parameters": {}}}
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        assert await remember_prefix(endpoint, PREFIX, cache_dir=cache) == "evaluated"
        assert await remember_prefix(endpoint, PREFIX, cache_dir=cache, tools=[tool]) == "evaluated"


async def test_no_conversation_reaches_the_disk(tiny_model: Path, cache: Path) -> None:
    """The file's tokens are the fixed beginning, while others talk to the same server."""
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        async with asyncio.TaskGroup() as group:
            for n in range(6):
                group.create_task(answer(endpoint, [{"role": "user", "content": f"My secret is {n}. " * 30}]))
            group.create_task(remember_prefix(endpoint, PREFIX, cache_dir=cache))
        async with endpoint.client() as http:
            rendered = await http.post("/apply-template", json={"messages": PREFIX})
    (file,) = prefix_folder(cache).glob("*.slot")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = written_in(file)
    assert text.startswith(rendered.json()["prompt"])
    assert text.removeprefix(rendered.json()["prompt"]) == "<|im_end|>\n<|im_start|>user\n"
    assert "secret" not in text
    everything = [p for p in await asyncio.to_thread(lambda: list(cache.rglob("*"))) if p.is_file()]
    assert [p for p in everything if b"secret" in p.read_bytes()] == []


def written_in(file: Path) -> str:
    """Return the text whose tokens the file holds; in the tiny model's vocabulary, byte b is token b + 3."""
    data = file.read_bytes()
    (count,) = struct.unpack_from("<I", data, 8)  # after the magic and the version
    tokens = struct.unpack_from(f"<{count}i", data, 12)
    return bytes(token - 3 for token in tokens if 3 <= token < 259).decode().replace("\u2581", " ").lstrip()


async def test_a_broken_file_is_made_again(tiny_model: Path, cache: Path) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        await remember_prefix(endpoint, PREFIX, cache_dir=cache)
    await ended(endpoint)
    (file,) = prefix_folder(cache).glob("*.slot")
    file.write_bytes(file.read_bytes()[:1000])
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        assert await remember_prefix(endpoint, PREFIX, cache_dir=cache) == "evaluated"


async def test_few_files_are_kept(tiny_model: Path, cache: Path) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        for n in range(8):
            beginning = [{"role": "system", "content": f"{n} {PREFIX[0]['content'][:500]}"}]
            await remember_prefix(endpoint, beginning, cache_dir=cache)
    assert len(list(prefix_folder(cache).glob("*.slot"))) == 6


async def test_a_gone_server_costs_a_warning_and_no_error(
    tiny_model: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with embedded_model(tiny_model, cache_dir=cache, linger_s=0) as endpoint:
        os.kill(server_pid(endpoint), signal.SIGKILL)
        await ended(endpoint)
        assert await remember_prefix(endpoint, PREFIX, cache_dir=cache) == "skipped"
    assert "kept evaluated" in caplog.text


def test_at_least_one_core_may_be_used() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
