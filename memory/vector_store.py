"""Long-term memory on any LangChain vector store, with the interface of the one in Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.vectorstores import VectorStore
from langgraph.store.base import (
    GetOp,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)
from typing_extensions import override

from core.errors import DatabaseError, InputError
from core.text import storable
from memory.items import Origin
from memory.store_base import TenantStore
from memory.store_checks import checked
from memory.vector_backends import LACKS, Backend, backend_of
from memory.vector_filters import fits, matches
from memory.vector_rows import (
    INDEXED,
    NOT_INDEXED,
    PLACEHOLDER,
    Row,
    document_of,
    id_of,
    new_row,
    owned,
    row_of,
    within,
)

if TYPE_CHECKING:
    from langchain_core.documents import Document

Place = tuple[tuple[str, ...], str]


class VectorMemoryStore(TenantStore):
    """A store over a vector store; made by `store_on`.

    It reads and writes for the tenant of the run that calls it, as `MemoryStore` does. Every search filters
    by the tenant in the vector store, and what comes back is compared with it here once more.
    """

    __slots__ = ("_vectors", "backend")

    def __init__(
        self,
        vectors: VectorStore,
        backend: Backend,
        *,
        origin: Origin | None = None,
        fields: Sequence[str] = ("$",),
        ttl: TTLConfig | None = None,
    ) -> None:
        """Make a store; see `store_on`."""
        super().__init__(origin=origin, fields=fields, ttl=ttl)
        self._vectors = vectors
        self.backend = backend

    @property
    def lacks(self) -> tuple[str, ...]:
        """What it can't do that the store in Postgres can, a sentence each."""
        return (*LACKS, *self.backend.lacks)

    @override
    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several operations: first all reads, then all writes. The writes are no transaction.

        Raises:
            ValueError: an operation can't be read; none was done.
            InputError: a listing or a filter would have to look at more than the vector store gives.
            DatabaseError: the vector store gave a document of another tenant, or lost one that was written.
        """
        wanted = [checked(op) for op in ops]
        tenant = self._for_whom().tenant
        results: list[Result] = [await self._read(tenant, op) for op in wanted]
        puts = {(op.namespace, op.key): op for op in wanted if isinstance(op, PutOp)}
        await self._write(tenant, puts)
        return results

    async def _read(self, tenant: str, op: Op) -> Any:
        if isinstance(op, GetOp):
            rows = await self._at(tenant, [(op.namespace, op.key)])
            return rows[0].item() if rows else None
        if isinstance(op, SearchOp):
            return await self._search(tenant, op)
        if isinstance(op, ListNamespacesOp):
            rows = await self._all(tenant, owned(tenant))
            kept = (
                row for row in rows if all(matches(row.namespace, one) for one in op.match_conditions or ())
            )
            found = sorted({row.namespace[: op.max_depth] for row in kept})
            return found[op.offset : op.offset + op.limit]
        return None

    async def _search(self, tenant: str, op: SearchOp) -> list[SearchItem]:
        place = within(tenant, op.namespace_prefix)
        end = op.offset + op.limit
        if not op.query:
            rows = _newest_first(row for row in await self._all(tenant, place) if _is_wanted(row, op))
        else:
            rows = await self._best(tenant, op, place | INDEXED, end)
            if len(rows) < end:
                others = await self._all(tenant, place | NOT_INDEXED)
                rows += sorted(
                    (row for row in others if _is_wanted(row, op)),
                    key=lambda row: row.updated_at,
                    reverse=True,
                )
        return [row.search_item() for row in rows[op.offset : end]]

    async def _best(self, tenant: str, op: SearchOp, place: Mapping[str, str], end: int) -> list[Row]:
        """Return at least the first `end` rows that are wanted, or all; best first."""
        asked = min(max(end, 1), self.backend.most)
        while True:
            found = await self._found(tenant, op.query or PLACEHOLDER, place, asked)
            rows = [row for row in found if not row.has_expired and _is_wanted(row, op)]
            if len(rows) >= end or len(found) < asked:
                return rows
            if asked == self.backend.most:
                raise self._out_of_reach(asked)
            asked = min(4 * asked, self.backend.most)

    async def _all(self, tenant: str, place: Mapping[str, str]) -> list[Row]:
        rows = await self._found(tenant, PLACEHOLDER, place, self.backend.most)
        if len(rows) >= self.backend.most:
            raise self._out_of_reach(len(rows))
        gone = [row.id for row in rows if row.has_expired]
        if gone:
            await self._client().adelete(gone)
        return [replace(row, score=None) for row in rows if not row.has_expired]

    def _out_of_reach(self, rows: int) -> InputError:
        return InputError(
            f"{self.backend.name} gives at most {rows:,} items to one search, and here are as many or more: "
            "a list or a filter would miss some. Name a namespace below, or use the store in Postgres."
        )

    async def _found(self, tenant: str, text: str, place: Mapping[str, str], limit: int) -> list[Row]:
        found: list[tuple[Document, float]] = await self._client().asimilarity_search_with_score(
            text, k=limit, **self.backend.conditions(place)
        )
        return [self._own(tenant, row_of(one, score=self.backend.score(score))) for one, score in found]

    def _client(self) -> VectorStore:
        return copy(self._vectors) if self.backend.copied else self._vectors

    def _own(self, tenant: str, row: Row) -> Row:
        if row.tenant != tenant:
            raise DatabaseError(
                f"{self.backend.name} gave an item of another tenant in spite of its filter. Not shown. "
                "Check that the collection can be filtered by the fields in docs/other-stores.md."
            )
        return row

    async def _at(self, tenant: str, places: Sequence[Place]) -> list[Row]:
        if not places:
            return []
        ids = [id_of(tenant, namespace, key) for namespace, key in places]
        kind = type(self._vectors)
        if kind.aget_by_ids is not VectorStore.aget_by_ids or kind.get_by_ids is not VectorStore.get_by_ids:
            rows = [row_of(document) for document in await self._client().aget_by_ids(ids)]
        else:
            rows: list[Row] = []
            for one in ids:
                place = owned(tenant) | {"place": one.replace("-", "")}
                rows += await self._found(tenant, PLACEHOLDER, place, 1)
        gone = [row.id for row in rows if row.has_expired]
        if gone:
            await self._client().adelete(gone)
        return [self._own(tenant, row) for row in rows if not row.has_expired]

    async def _write(self, tenant: str, puts: Mapping[Place, PutOp]) -> None:
        kept = {place: op for place, op in puts.items() if op.value is not None}
        before = {(row.namespace, row.key): row for row in await self._at(tenant, list(kept))}
        rows = [
            new_row(tenant, op, storable(dict(op.value or {})), text=self._text(op), before=before.get(place))
            for place, op in kept.items()
        ]
        if rows:
            await self._client().aadd_documents([document_of(row) for row in rows])
        if rows and self.backend.confirms:
            await self._confirm(tenant, rows, before)
        gone = [id_of(tenant, *place) for place, op in puts.items() if op.value is None]
        if gone:
            await self._client().adelete(gone)

    async def _confirm(self, tenant: str, rows: Sequence[Row], before: Mapping[Place, Row]) -> None:
        """Read back what was written. What another one wrote there meanwhile is no loss."""
        there = {
            row.id: row.updated_at for row in await self._at(tenant, [(r.namespace, r.key) for r in rows])
        }
        was = {row.id: row.updated_at for row in before.values()}
        lost = [row for row in rows if not row.has_expired and there.get(row.id) in {None, was.get(row.id)}]
        if lost:
            raise DatabaseError(
                f"{self.backend.name} did not keep {len(lost)} of {len(rows)} items, as {lost[0].key!r}; "
                "its client has logged why. Correct that and put them again."
            )


def _newest_first(rows: Iterable[Row]) -> list[Row]:
    """Return rows by the time at which they were last written, as the store in Postgres lists them."""
    by_name = sorted(rows, key=lambda row: (row.namespace, row.key))
    return sorted(by_name, key=lambda row: row.updated_at, reverse=True)


def _is_wanted(row: Row, op: SearchOp) -> bool:
    depth = len(op.namespace_prefix)
    return row.namespace[:depth] == tuple(op.namespace_prefix) and fits(row.value, op.filter)


def store_on(
    vectors: VectorStore,
    *,
    backend: Backend | None = None,
    origin: Origin | None = None,
    fields: Sequence[str] = ("$",),
    ttl: TTLConfig | None = None,
) -> VectorMemoryStore:
    """Return long-term memory on a vector store, for `create_agent(store=...)`; nothing is opened.

    Args:
        vectors: with its embeddings, over a collection that holds nothing else.
        backend: how it filters; None for the kinds that are known.
        origin: for whom it works, whatever run calls it; unset, for the run that calls.
        fields: the paths of a value that it is found by, where a `put` does not name them.
        ttl: how long items are kept that do not say so, in minutes. Reading does not keep them longer.

    Raises:
        ConfigurationError: it is a kind of vector store that is not known, and `backend` is None; or it can't
            keep items as it is made.
    """
    backend = backend or backend_of(vectors)
    backend.check(vectors)
    return VectorMemoryStore(vectors, backend, origin=origin, fields=fields, ttl=ttl)
