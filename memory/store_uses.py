"""How often memories are used, counted beside the searches: nobody waits for it, and reading writes nothing.

What was read within a second is written at once, by one statement for each tenant. A process that is killed
loses the uses of its last second; they only decide among equals.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, LiteralString
from uuid import UUID

from core.database import Database
from core.process import current_process
from core.tenants import as_tenant

_EVERY_S: Final = 1.0
_MOST: Final = 5_000
"""Memories of which uses are held back; with more, they are written before the second is over."""
_COUNT: LiteralString = """
update boring.memory_item set uses = uses + used.times
from unnest(%s::uuid[], %s::bigint[]) as used (item, times)
where id = item and id = any (array (
    select id from boring.memory_item where id = any (%s) for update skip locked))
"""
"""A memory that is being written at this moment is left alone, so that readers and writers never wait."""
_log = logging.getLogger(__name__)


class Uses:
    """The uses that this process has not written down yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[str, Counter[UUID]] = {}
        self._wanted = asyncio.Event()
        self._full = asyncio.Event()
        self._closed = False

    def add(self, tenant: str, items: Sequence[UUID]) -> None:
        """Count a use of each item; returns at once."""
        if not items:
            return
        self._pending.setdefault(tenant, Counter()).update(items)
        self._wanted.set()
        if sum(map(len, self._pending.values())) > _MOST:
            self._full.set()

    async def write(self) -> None:
        """Write down all that was counted. What the database does not take is given up, and logged."""
        pending, self._pending = self._pending, {}
        self._wanted.clear()
        self._full.clear()
        for tenant, times in pending.items():
            items = list(times)
            try:
                async with as_tenant(self._database, tenant, reading=True) as connection:
                    await connection.execute(_COUNT, (items, [times[item] for item in items], items))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next ones are counted all the same
                _log.warning("The uses of %d memories are not counted: %s", len(items), error)

    async def keep_writing(self) -> None:
        """Write down what is counted, a second later at most, and what is left when it is closed."""
        while not self._closed:
            await self._wanted.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), _EVERY_S)
            await self.write()
        await self.write()  # what came meanwhile

    def close(self) -> None:
        """Have what is left written down now, after what is being written."""
        self._closed = True
        self._wanted.set()
        self._full.set()


async def uses() -> Uses:
    """Return the counter of this process; the process writes down what is left when it ends."""
    return await (await current_process()).once("memory uses", _opened)


@asynccontextmanager
async def _opened() -> AsyncGenerator[Uses]:
    counter = Uses(await (await current_process()).database())
    writing = asyncio.create_task(counter.keep_writing(), name="count uses of memories")
    try:
        yield counter
    finally:
        counter.close()
        await asyncio.wait([writing])
