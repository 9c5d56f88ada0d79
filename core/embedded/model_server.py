"""The embedded language model: one server for all processes of a user, there as long as one of them is."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from core.embedded.model_client import Endpoint, serving
from core.embedded.model_plan import ServerFolder, ServerPlan, fingerprint, usable_cores
from core.embedded.model_prefix import prefix_folder

_SLOTS: Final = 2
_CONTEXT: Final = 12_288
_LINGER_S: Final = 2.0


@asynccontextmanager
async def embedded_model(
    model_file: Path, *, cache_dir: Path, threads: int | None = None, linger_s: float = _LINGER_S
) -> AsyncGenerator[Endpoint]:
    """Serve a GGUF model for the length of the block, in a process shared with everyone who does the same.

    Args:
        model_file: the weights.
        cache_dir: the folder whose users share a server.
        threads: how many the server computes with, if this call is the one that starts it; one for each
            core this process may use by default.
        linger_s: how long the server stays after its last user, likewise.

    Raises:
        ConfigurationError: the server doesn't start; says what it wrote last.
    """
    plan = ServerPlan(
        model_file=str(model_file),
        threads=threads or await asyncio.to_thread(usable_cores),
        context=_CONTEXT,
        slots=_SLOTS,
        slot_folder=str(prefix_folder(cache_dir)),
        linger_s=linger_s,
    )
    folder = ServerFolder(cache_dir / "servers" / await asyncio.to_thread(fingerprint, model_file))
    async with serving(plan, folder) as endpoint:
        yield endpoint
