"""Long-term memory as a LangGraph store: kept in Postgres, and separated by tenant there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from langgraph.store.base import GetOp, ListNamespacesOp, Op, PutOp, Result, SearchOp
from typing_extensions import override

from core.database import Database
from core.process import current_process
from core.tenants import Connection, as_tenant
from core.text import storable
from memory.facts import owner_of
from memory.items import SHOWN, NewItem, Origin, check_names
from memory.items_writing import Place, write
from memory.store_base import TenantStore
from memory.store_checks import checked
from memory.store_models import NOTHING, Asked, OvertakenError, answered, embedded_for
from memory.store_namespaces import namespaces
from memory.store_search import found, found_alone, got, item, search_item
from memory.store_uses import uses


class MemoryStore(TenantStore):
    """The store that tools and nodes get as `runtime.store`.

    It reads and writes for the tenant of the run that calls it; outside of a run, for the default tenant. It
    holds nothing open: the database and the embedding model are those of the process.
    """

    __slots__ = ()

    @override
    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several operations: first all reads, on what was there before, then all writes, or none.

        Raises:
            ValueError: an operation can't be read; none was done.
            ConfigurationError: memories were embedded by another model, or the database can't be used.
        """
        wanted = [checked(op) for op in ops]
        origin = self._for_whom()
        puts = {(op.namespace, op.key): op for op in wanted if isinstance(op, PutOp)}
        items = await self._items(puts, origin)
        gone = [place for place, op in puts.items() if op.value is None]
        database = await (await current_process()).database()
        results: list[Result] = [None] * len(wanted)
        used: list[UUID] = []

        async def read(meanings: Mapping[str, Asked]) -> list[Result]:
            used.clear()
            if len(wanted) == 1 and isinstance(one := wanted[0], SearchOp) and one.query:
                rows = await found_alone(database, origin.tenant, one, meanings[one.query], columns=SHOWN)
                used.extend(row["id"] for row in rows)
                return [[search_item(row) for row in rows]]
            async with as_tenant(database, origin.tenant, reading=True) as connection:
                return [await _read(connection, op, meanings, used) for op in wanted]

        if len(puts) < len(wanted):
            results = await answered(origin.tenant, _questions(wanted), read)
        (await uses()).add(origin.tenant, used)
        if puts:
            try:
                await _write(database, origin.tenant, items, gone)
            except OvertakenError:
                await _write(database, origin.tenant, await self._items(puts, origin), gone)
        return results

    async def _items(self, puts: dict[Place, PutOp], origin: Origin) -> list[NewItem]:
        kept = [op for op in puts.values() if op.value is not None]
        for op in kept:
            check_names(origin, op.namespace, op.key)
        texts = [self._text(op) for op in kept]
        made = await embedded_for(origin.tenant, [text for text in texts if text is not None])
        vectors, others = iter(made.vectors), iter(made.others or ())
        return [
            NewItem(
                namespace=op.namespace,
                key=op.key,
                value=storable(dict(op.value or {})),
                text=text,
                embedding=None if text is None else next(vectors),
                model=None if text is None else made.model,
                kind="fact",
                ttl_minutes=op.ttl,
                origin=self._whose(op, origin),
                other_embedding=None if text is None else next(others, None),
                other_model=None if text is None else made.other_model,
            )
            for op, text in zip(kept, texts, strict=True)
        ]

    def _whose(self, op: PutOp, origin: Origin) -> Origin:
        """Return the origin of an item: what nobody in particular stores in a user's namespace is theirs."""
        owner = owner_of(op.namespace)
        is_of_nobody = self._origin is None and origin.thread_id is None and origin.run_id is None
        return replace(origin, user=owner) if owner and is_of_nobody else origin


async def _write(database: Database, tenant: str, items: Sequence[NewItem], gone: Sequence[Place]) -> None:
    async with as_tenant(database, tenant) as connection:
        await write(connection, tenant, items=items, gone=gone)


def _questions(ops: Sequence[Op]) -> list[str]:
    return [op.query for op in ops if isinstance(op, SearchOp) and op.query]


async def _read(connection: Connection, op: Op, meanings: Mapping[str, Asked], used: list[UUID]) -> Any:
    """Do one operation, and add to `used` what was looked up: listing what is there is no use of it."""
    if isinstance(op, GetOp):
        row = await got(connection, op)
        used += [] if row is None else [row["id"]]
        return None if row is None else item(row)
    if isinstance(op, SearchOp):
        rows = await found(connection, op, meanings.get(op.query or "", NOTHING), columns=SHOWN)
        used += [row["id"] for row in rows] if op.query else []
        return [search_item(row) for row in rows]
    if isinstance(op, ListNamespacesOp):
        return await namespaces(connection, op)
    return None
