"""Start or join a server of the embedded model, and hold it as long as it is used."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from core.embedded.child_process import finish_in_thread
from core.embedded.flock import is_held
from core.embedded.flock import locked as lock_now
from core.embedded.lease import locked
from core.embedded.model_plan import ServerFolder, ServerPlan
from core.embedded.processes import detach
from core.errors import ConfigurationError
from core.settings import PROJECT_ROOT

_START_S: Final = 180.0
_HEALTH_S: Final = 5.0
_POLL_S: Final = 0.02
_TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint on this machine.

    Attributes:
        base_url: where it is, ending in `/v1`.
        api_key: what it asks for.
        model: the model's name there.
        model_file: the weights it serves.
        folder: where its server keeps its files.
    """

    base_url: str
    api_key: str = field(repr=False)
    model: str
    model_file: Path
    folder: Path

    def client(self) -> httpx.AsyncClient:
        """Return a client for the server's own routes, which stand beside `/v1`."""
        return httpx.AsyncClient(
            base_url=self.base_url.removesuffix("/v1"),
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=httpx.Timeout(600.0, connect=_HEALTH_S),
            trust_env=False,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )


@asynccontextmanager
async def serving(plan: ServerPlan, folder: ServerFolder) -> AsyncGenerator[Endpoint]:
    """Start the server, or join the one that runs, and keep it running for the length of the block.

    Raises:
        ConfigurationError: it doesn't start; says what it wrote last.
    """
    await asyncio.to_thread(folder.make)
    async with AsyncExitStack() as held:
        async with locked(folder.starter):
            await held.enter_async_context(locked(folder.clients, shared=True))
            endpoint = await _start_or_join(plan, folder)
        yield endpoint


async def _start_or_join(plan: ServerPlan, folder: ServerFolder) -> Endpoint:
    for _ in range(_TRIES):
        if not await asyncio.to_thread(is_held, folder.alive):
            await finish_in_thread(lambda _stop: _start(plan, folder))
        endpoint = await _announced(plan, folder)
        if endpoint is not None and await _is_healthy(endpoint):
            return endpoint
        await _end(folder)
    raise ConfigurationError(
        f"The embedded model's server doesn't start with {plan.model_file}. It wrote:"
        f" {await asyncio.to_thread(_last_words, folder.log)}. Set BORING_MODEL_PATH to another GGUF file, or"
        " OPENAI_BASE_URL to an endpoint to use instead."
    )


def _start(plan: ServerPlan, folder: ServerFolder) -> None:
    alive = lock_now(folder.alive)
    if alive is None:
        return
    try:
        folder.endpoint.unlink(missing_ok=True)
        folder.pid.unlink(missing_ok=True)
        for mark in folder.path.glob("*.held"):
            mark.unlink()
        folder.write(folder.log, "")
        Path(plan.slot_folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        detach(
            [sys.executable, "-m", "core.embedded.model_process", str(folder.path), plan.to_json()],
            None,
            keep=alive,
            log=folder.log,
            environment={"PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), *filter(None, sys.path)])},
        )
    finally:
        os.close(alive)


async def _announced(plan: ServerPlan, folder: ServerFolder) -> Endpoint | None:
    """Wait until the server says where it is; None when it died or takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_S):
            while True:
                endpoint = await asyncio.to_thread(_read, plan, folder)
                if endpoint is not None or not await asyncio.to_thread(is_held, folder.alive):
                    return endpoint
                await asyncio.sleep(_POLL_S)
    return None


def _read(plan: ServerPlan, folder: ServerFolder) -> Endpoint | None:
    try:
        said = json.loads(folder.endpoint.read_text())
    except FileNotFoundError:
        return None
    return Endpoint(**said, model_file=Path(plan.model_file), folder=folder.path)


async def _is_healthy(endpoint: Endpoint) -> bool:
    async with endpoint.client() as client:
        try:
            answer = await client.get("/health", timeout=_HEALTH_S)
        except httpx.HTTPError:
            return False
    return answer.is_success


async def _end(folder: ServerFolder) -> None:
    """End a server that holds its lock but doesn't answer; only then is the noted process surely it."""
    if await asyncio.to_thread(is_held, folder.alive):
        with suppress(OSError, ValueError):
            os.kill(int(await asyncio.to_thread(folder.pid.read_text)), signal.SIGKILL)
    await asyncio.to_thread(folder.endpoint.unlink, missing_ok=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(_HEALTH_S), locked(folder.alive):
            pass


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-5:]) or "nothing"
