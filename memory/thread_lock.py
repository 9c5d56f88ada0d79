"""One process at a time works on a thread."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from core.database import Database
from core.errors import InputError

_PATIENCE_S = 3.0
"""How long a lock is waited for: the server notices a killed holder a moment late."""
_RETRY_S = 0.05
_TRY = "select pg_try_advisory_lock(hashtextextended(%s, 0)) as got"
_GIVE_BACK = "select pg_advisory_unlock(hashtextextended(%s, 0))"


@asynccontextmanager
async def thread_lock(database: Database, thread_id: str) -> AsyncGenerator[None]:
    """Hold the right to run a thread for the length of the block; a killed holder loses it.

    Raises:
        InputError: another process has it.
    """
    key = (f"boring thread {thread_id}",)
    async with database.pool.connection() as connection:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            rows = await connection.execute(_TRY, key)
            row = await rows.fetchone()
            if row is not None and row["got"]:
                break
            if asyncio.get_running_loop().time() > deadline:
                raise InputError(
                    f"Another process is working on the thread {thread_id!r}. Wait until it has ended, or "
                    "use another thread."
                )
            await asyncio.sleep(_RETRY_S)
        try:
            yield
        finally:
            await connection.execute(_GIVE_BACK, key)
