"""One process at a time changes the schema."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

_KEY = 0x626F72696E67
"""The word `boring`, as a number that other users of the same database are unlikely to choose."""
_RETRY_S = 0.05


@asynccontextmanager
async def setup_lock(url: str) -> AsyncGenerator[None]:
    """Hold the right to create or change tables, among all processes that use this database.

    It is a lock of the session, so it goes when the process does. Waiting is by trying again: a session
    that sleeps in `pg_advisory_lock` has an open snapshot, for which the `create index concurrently` of
    the holder (LangGraph's saver runs some) would wait for ever.
    """
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        while not await _tried(connection):  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(_RETRY_S)
        # Closing the connection gives the lock back.
        yield


async def _tried(connection: AsyncConnection) -> bool:
    cursor = await connection.execute("select pg_try_advisory_lock(%s)", (_KEY,))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
