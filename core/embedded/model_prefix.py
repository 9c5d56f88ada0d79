"""Keep the evaluated fixed beginning of a prompt, so that a fresh server need not read it again.

Reading is what the embedded model spends its time on: some 90 tokens a second on two cores, so a system
prompt with examples takes ten seconds and more. What is evaluated is written to a file of some 30 MB and
read back in milliseconds. Only the fixed beginning is ever written, and by a server of its own that no one
else can send anything to, so that no conversation can get into the file.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from core.embedded.lease import locked
from core.embedded.model_client import Endpoint, serving
from core.embedded.model_plan import ServerFolder, ServerPlan, fingerprint, usable_cores
from core.errors import ConfigurationError

_KEPT: Final = 6
_WORTHWHILE_CHARS: Final = 400
_CONTEXT: Final = 8_192
_LINGER_S: Final = 0.0

_log = logging.getLogger(__name__)

Outcome = Literal["held", "restored", "evaluated", "skipped"]
"""The server had it already; it came from a file; it was evaluated and written; or it wasn't worth it."""


def prefix_folder(cache_dir: Path) -> Path:
    """Return the folder that keeps evaluated beginnings."""
    return cache_dir / "prefixes"


async def remember_prefix(
    endpoint: Endpoint,
    messages: Sequence[Mapping[str, Any]],
    *,
    cache_dir: Path,
    tools: Sequence[Mapping[str, Any]] | None = None,
    response_format: Mapping[str, Any] | None = None,
) -> Outcome:
    """Make the server hold the evaluated beginning that many calls share.

    Nothing depends on it but time: where it fails, it says so in the log and the next call reads the whole
    prompt. It may be called by several processes at once and again and again.

    Args:
        endpoint: the embedded model's.
        messages: the fixed first messages in the OpenAI form: system prompt and example turns.
        cache_dir: the folder that keeps evaluated beginnings, the one of `embedded_model`.
        tools: the tools that the calls offer, since they become part of the prompt.
        response_format: the answer's form that the calls ask for.
    """
    request = {"messages": list(messages)}
    request |= {"tools": list(tools)} if tools else {}
    request |= {"response_format": dict(response_format)} if response_format else {}
    try:
        async with endpoint.client() as client:
            prefix = await _rendered(client, request)
            if len(prefix) < _WORTHWHILE_CHARS:
                return "skipped"
            return await _remember(endpoint, client, prefix, prefix_folder(cache_dir))
    except (httpx.HTTPError, ConfigurationError, OSError) as error:
        _log.warning("The beginning of the prompt could not be kept evaluated: %s", error)
        return "skipped"


async def _rendered(client: httpx.AsyncClient, request: dict[str, Any]) -> str:
    """Return the text that any prompt with these first messages begins with."""
    texts: list[str] = []
    for ending in ("a", "b"):
        body = {**request, "messages": [*request["messages"], {"role": "user", "content": ending}]}
        answer = await client.post("/apply-template", json=body)
        texts.append(answer.raise_for_status().json()["prompt"])
    same = takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    return "".join(character for character, _ in same)


async def _remember(endpoint: Endpoint, client: httpx.AsyncClient, prefix: str, folder: Path) -> Outcome:
    identity = await asyncio.to_thread(fingerprint, endpoint.model_file)
    file = folder / f"{hashlib.sha256(f'{identity}{prefix}'.encode()).hexdigest()[:32]}.slot"
    mark = ServerFolder(endpoint.folder).path / f"{file.stem}.held"
    server = hashlib.sha256(endpoint.api_key.encode()).hexdigest()
    if await asyncio.to_thread(_reads, mark, server):
        return "held"
    outcome: Outcome = "restored"
    async with locked(folder / "prefixes.lock"):
        if await asyncio.to_thread(_reads, mark, server):
            return "held"
        if not await asyncio.to_thread(file.exists) or not await _restore(client, file):
            outcome = "evaluated"
            await _evaluate(endpoint, prefix, file)
            if not await _restore(client, file):
                return "skipped"
        await asyncio.to_thread(_tidy, folder, file)
        await asyncio.to_thread(mark.write_text, server)
    return outcome


def _reads(path: Path, expected: str) -> bool:
    return path.exists() and path.read_text() == expected


async def _restore(client: httpx.AsyncClient, file: Path) -> bool:
    """Read the file into every slot that is free, so that calls at the same moment all find it."""
    # Each new task makes the server put idle slots aside in its memory. So this one saves what is in the
    # slots that are about to be overwritten: conversations, or a beginning that was restored before.
    await _trivial_task(client)
    slots = (await client.get("/slots")).raise_for_status().json()
    for slot in [s["id"] for s in slots if not s["is_processing"]] or [0]:
        body = {"filename": file.name}
        answer = await client.post(f"/slots/{slot}", params={"action": "restore"}, json=body)
        if not answer.is_success or not answer.json()["n_restored"]:
            await asyncio.to_thread(file.unlink, missing_ok=True)
            return False
    return True


async def _trivial_task(client: httpx.AsyncClient) -> None:
    (await client.post("/completion", json={"prompt": "\n", "n_predict": 0})).raise_for_status()


async def _evaluate(endpoint: Endpoint, prefix: str, file: Path) -> None:
    """Evaluate the beginning in a server of its own, and let the file appear when it is whole."""
    folder = ServerFolder(endpoint.folder.with_name(f"{endpoint.folder.name}-prefix"))
    plan = ServerPlan(
        model_file=str(endpoint.model_file),
        threads=await asyncio.to_thread(usable_cores),
        context=_CONTEXT,
        slots=1,
        slot_folder=str(folder.path),
        linger_s=_LINGER_S,
    )
    async with serving(plan, folder) as private, private.client() as client:
        body = {"prompt": prefix, "n_predict": 0, "id_slot": 0, "cache_prompt": True}
        (await client.post("/completion", json=body)).raise_for_status()
        saved = await client.post("/slots/0", params={"action": "save"}, json={"filename": "fresh.slot"})
        saved.raise_for_status()
    fresh = folder.path / "fresh.slot"
    await asyncio.to_thread(fresh.chmod, 0o600)
    await asyncio.to_thread(fresh.replace, file)


def _tidy(folder: Path, used: Path) -> None:
    """Keep the few that were used last."""
    used.touch()
    files = sorted(folder.glob("*.slot"), key=lambda f: f.stat().st_mtime, reverse=True)
    for file in files[_KEPT:]:
        file.unlink(missing_ok=True)
