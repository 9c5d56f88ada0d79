"""What the stores of this project share, wherever they keep their items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from langgraph.store.base import BaseStore, Op, PutOp, Result, TTLConfig
from typing_extensions import override

from memory.items import Origin, current_origin
from memory.store_text import searchable


class TenantStore(BaseStore):
    """A store that reads and writes for the tenant of the run that calls it, by asynchronous methods only."""

    supports_ttl = True
    __slots__ = ("_fields", "_origin", "ttl_config")

    def __init__(
        self,
        *,
        origin: Origin | None = None,
        fields: Sequence[str] = ("$",),
        ttl: TTLConfig | None = None,
    ) -> None:
        """Make a store; nothing is opened.

        Args:
            origin: for whom it works, whatever run calls it; unset, for the run that calls.
            fields: the paths of a value that it is found by, where a `put` does not name them.
            ttl: how long items are kept that do not say so, in minutes.
        """
        self._origin = origin
        self._fields = fields
        self.ttl_config = ttl

    @override
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Refuse: this project is asynchronous."""
        raise NotImplementedError("use the methods that begin with `a`: aget, aput, asearch, abatch")

    def _for_whom(self) -> Origin:
        return self._origin or current_origin()

    def _text(self, op: PutOp) -> str | None:
        """Return what an item is found by; None if it is not found by meaning."""
        if op.index is False or op.value is None:
            return None
        return searchable(op.value, self._fields if op.index is None else op.index)
