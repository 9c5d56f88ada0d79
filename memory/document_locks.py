"""One at a time changes a document, among all processes that use the database."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from core.database import Database
from core.tenants import Connection
from memory.items import lock_number

_RETRY_S: Final = 0.02


@asynccontextmanager
async def document_lock(database: Database, tenant: str, source: str = "") -> AsyncGenerator[Connection]:
    """Hold the right to change a document; yield the connection that holds it, which is in no transaction.

    It goes with the connection, so that nothing is left of a process that was killed. Waiting is by trying
    again, as in `core.migrations.lock`.

    Args:
        database: the process's.
        tenant: whose document.
        source: its name; empty for the right to tidy up among the tenant's documents.
    """
    number = lock_number("boring.document", tenant, source)
    while True:
        async with database.pool.connection() as connection:
            rows = await connection.execute("select pg_try_advisory_lock(%s) as held", (number,))
            row = await rows.fetchone()
            if row is not None and row["held"]:
                try:
                    yield connection
                    await connection.execute("select pg_advisory_unlock(%s)", (number,))
                except BaseException:
                    await connection.close()  # or else the pool's connection would hold it on
                    raise
                return
        await asyncio.sleep(_RETRY_S)
