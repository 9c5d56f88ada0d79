"""The journal's transaction in the hands of a tool: it writes over it, and neither ends it nor keeps it."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow

from tools.failures import passing

RULE: Final = (
    "A transactional tool only writes over the connection that it is given. The runtime commits its rows "
    "together with the record of the call, or rolls back both."
)
_REFUSED: Final = frozenset({
    *("commit", "rollback", "close", "cancel", "cancel_safe", "set_autocommit", "set_isolation_level"),
    *("set_read_only", "set_deferrable", "tpc_begin", "tpc_prepare", "tpc_commit", "tpc_rollback"),
})  # fmt: skip
_ENDS = re.compile(
    rb"\s*(commit|end|abort|begin|start\s+transaction|prepare\s+transaction"
    rb"|rollback(?!\s+((work|transaction)\s+)?to\b))\b",
    re.IGNORECASE,
)


class TransactionRuleError(TypeError):
    """A transactional tool did to its connection what only the runtime does."""

    def __init__(self, did: str) -> None:
        super().__init__(f"{did} {RULE}")


async def in_transaction(
    connection: AsyncConnection[DictRow], run: Callable[[AsyncConnection[DictRow]], Awaitable[Any]]
) -> Any:
    """Run a tool on an open transaction; return its result once the transaction is known to be open still.

    Args:
        connection: of the journal.
        run: takes what the tool is given of it, which is of no use afterwards.

    Raises:
        TransactionRuleError: the tool ended the transaction, or hid that a statement failed.
    """
    lent = _Lent(connection)
    try:
        result = await run(cast("AsyncConnection[DictRow]", lent))
    except Exception as error:
        if passing(error) is None and _has_ended(connection):
            raise TransactionRuleError("It ended the transaction that it was given.") from error
        raise
    finally:
        lent.take_back()
    if _has_ended(connection):
        raise TransactionRuleError("It ended the transaction that it was given.")
    if connection.info.transaction_status is TransactionStatus.INERROR:
        raise TransactionRuleError("A statement failed, and the tool went on; nothing it wrote is kept.")
    return result


def _has_ended(connection: AsyncConnection[DictRow]) -> bool:
    """Tell whether the tool ended the transaction; that a connection breaks is no tool's doing."""
    if connection.broken:
        return False
    return connection.closed or connection.info.transaction_status is TransactionStatus.IDLE


class _Lent:
    """The connection as the tool has it, for as long as it runs. It says that it is one: it acts like one."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        object.__setattr__(self, "_connection", connection)

    @property
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride] - for whoever asks before using it
        return AsyncConnection

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED:
            raise TransactionRuleError(f"It used {name}() of its connection.")
        return getattr(self._lender(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise TransactionRuleError(f"It set {name} of its connection, which others use after it.")

    async def execute(self, query: Any, *parameters: Any, **options: Any) -> Any:
        """Execute a statement, as the connection does, unless it ends the transaction."""
        text = query.encode() if isinstance(query, str) else query
        if isinstance(text, bytes) and (ends := _ENDS.match(text)) is not None:
            raise TransactionRuleError(f"It executed {ends[1].decode().lower()}.")
        lender: Any = self._lender()
        return await lender.execute(query, *parameters, **options)

    def take_back(self) -> None:
        """Make it of no use."""
        object.__setattr__(self, "_connection", None)

    def _lender(self) -> AsyncConnection[DictRow]:
        connection: AsyncConnection[DictRow] | None = object.__getattribute__(self, "_connection")
        if connection is None:
            raise TransactionRuleError("It used its connection after its end.")
        return connection
