"""The knowledge base of a session: brought up to date, and opened early where there is something to find."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from core.context import RunContext
from core.process import Process
from core.settings import PROJECT_ROOT


async def bring_up_to_date(
    paths: Sequence[Path], process: Process, loading: asyncio.Task[None], *, searched: bool
) -> None:
    """Index what is named, and begin to open what the agent will search.

    Args:
        paths: files and folders to index.
        process: whose knowledge base.
        loading: the libraries that are imported first.
        searched: whether the agent is known to search the knowledge base.
    """
    await loading
    if paths or (searched and await _has_documents(process)):
        from memory.documents import warm_up_documents  # noqa: PLC0415 - loaded above

        # Its libraries and the embedding model take a second, which the model's first answer takes too.
        warm_up_documents(process)
    for path in paths:
        from memory.documents import document_store  # noqa: PLC0415 - loaded above
        from memory.indexing import index_path  # noqa: PLC0415 - loaded above

        await index_path(await document_store(), path, tenant=RunContext().tenant, base=PROJECT_ROOT)


async def _has_documents(process: Process) -> bool:
    database = await process.database()
    async with database.pool.connection() as connection:
        rows = await connection.execute("select exists (select from boring.document) as found")
        row = await rows.fetchone()
    return row is not None and bool(row["found"])
