"""Counts the SQL that this process sends, and the transactions that it commits.

    with counted_sql() as counted:
        await agent.ainvoke(...)
    print(len(counted.statements), counted.commits)

What is counted goes over psycopg's asynchronous cursors and transaction blocks, on any connection. What is
delivered beside the runs, such as spans, is not: when that happens is a matter of time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable
from psycopg.transaction import AsyncTransaction

Work = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class CountedSql:
    """What was sent so far.

    Attributes:
        statements: the text of each, in the order in which they began; those that open and close a
            transaction are left out.
        commits: transactions that were committed; a statement by itself is one.
    """

    statements: list[str] = field(default_factory=list[str])
    commits: int = 0

    def about(self, table: str) -> list[str]:
        """Return the statements that name a table."""
        return [statement for statement in self.statements if table in statement]


@contextmanager
def counted_sql() -> Generator[CountedSql]:
    """Count until the block ends."""
    counted = CountedSql()
    saved: list[tuple[Any, str, Work]] = []
    for owner, name, around in (
        (psycopg.AsyncCursor, "execute", _executing),
        (psycopg.AsyncCursor, "executemany", _executing),
        (AsyncTransaction, "__aexit__", _leaving),
    ):
        work: Work = getattr(owner, name)
        saved.append((owner, name, work))
        setattr(owner, name, around(work, counted))
    try:
        yield counted
    finally:
        for owner, name, work in saved:
            setattr(owner, name, work)


def _executing(work: Work, counted: CountedSql) -> Work:
    @wraps(work)
    async def execute(cursor: psycopg.AsyncCursor[Any], query: Any, *args: Any, **options: Any) -> Any:
        if _is_delivering():
            return await work(cursor, query, *args, **options)
        text = query.as_string(cursor) if isinstance(query, Composable) else query
        counted.statements.append(text.decode() if isinstance(text, bytes) else text)
        alone = cursor.connection.info.transaction_status == TransactionStatus.IDLE
        result = await work(cursor, query, *args, **options)
        counted.commits += alone and cursor.connection.autocommit
        return result

    return execute


def _leaving(work: Work, counted: CountedSql) -> Work:
    @wraps(work)
    async def leave(block: AsyncTransaction, *raised: Any) -> Any:
        result = await work(block, *raised)
        if _is_delivering():
            return result
        left = block.connection.info.transaction_status == TransactionStatus.IDLE
        counted.commits += left and raised[0] is None and not block.force_rollback
        return result

    return leave


def _is_delivering() -> bool:
    task = asyncio.current_task()
    return task is not None and task.get_name().startswith("deliver ")
