"""The audit record only grows, and shows where it was tampered with."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from pydantic import SecretStr

from core.database import Database, opened_database
from core.settings import Settings
from observability.audit import AuditEntry, append_audit, verify_audit

ROWS = 5


def entry(number: int) -> AuditEntry:
    arguments: dict[str, Any] = {"amount": 1e22 * number, "exact": 0.1, "text": "ä\u2028\ud800", "big": 2**70}
    return AuditEntry("approve", f"subject {number}", "t", "r", "pay", "ann", "clerk", "h", {}, arguments)


@pytest.fixture
async def record(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_database(settings) as database:
        for number in range(1, ROWS + 1):
            async with database.pool.connection() as connection, connection.transaction():
                await append_audit(connection, entry(number), at=datetime.now(UTC))
        yield database


async def test_a_record_that_nobody_touched_is_whole(record: Database) -> None:
    found = await verify_audit(record)
    assert (found.is_whole, found.rows, len(found.head)) == (True, ROWS, 66)


@pytest.mark.parametrize("statement", ["update boring.audit set who = 'x'", "delete from boring.audit"])
async def test_rows_can_be_neither_changed_nor_taken_out(record: Database, statement: LiteralString) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="can only grow"):
        async with record.pool.connection() as connection:
            await connection.execute(statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="TRUNCATE is refused"):
        async with record.pool.connection() as connection:
            await connection.execute("truncate boring.audit")


async def tampered(record: Database, statement: LiteralString) -> None:
    """Change the record as only an owner of the table can."""
    async with record.pool.connection() as connection, connection.transaction():
        await connection.execute("alter table boring.audit disable trigger audit_only_grows")
        await connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "row", "why"),
    [
        ("update boring.audit set who = 'mallory' where number = 3", 3, "row 3 was changed"),
        ("update boring.audit set role = 'cfo' where number = 3", 3, "row 3 was changed"),
        ("update boring.audit set at = at + interval '1 us' where number = 2", 2, "row 2 was changed"),
        ("update boring.audit set after = '{}' where number = 4", 4, "row 4 was changed"),
        ("update boring.audit set arguments_hash = 'x' where number = 1", 1, "row 1 was changed"),
        ("update boring.audit set hash = 'x' where number = 3", 3, "row 3 was changed"),
        ("update boring.audit set previous_hash = 'x' where number = 3", 3, "row 3 does not follow"),
        ("delete from boring.audit where number = 3", 3, "row 3 is missing"),
        (
            "update boring.audit set number = case number when 3 then 103 else number end",
            3,
            "row 3 is missing",
        ),
    ],
)
async def test_tampering_is_found_where_it_was_done(
    record: Database, statement: LiteralString, row: int, why: str
) -> None:
    await tampered(record, statement)
    found = await verify_audit(record)
    assert (found.is_whole, found.broken_at) == (False, row)
    assert why in found.why


async def test_an_end_that_was_cut_off_is_found_by_who_kept_the_head(record: Database) -> None:
    head = (await verify_audit(record)).head
    await tampered(record, "delete from boring.audit where number = 5")
    assert (await verify_audit(record)).is_whole
    found = await verify_audit(record, seen=head)
    assert (found.is_whole, found.broken_at) == (False, ROWS)
    assert head in found.why


async def test_rows_added_at_the_same_moment_make_one_chain(record: Database) -> None:
    async def add(number: int) -> None:
        async with record.pool.connection() as connection, connection.transaction():
            await append_audit(connection, entry(number), at=datetime.now(UTC))

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(add(number))
    found = await verify_audit(record)
    assert (found.is_whole, found.rows) == (True, ROWS + 20)


async def test_a_transaction_that_fails_leaves_no_row_and_no_gap(record: Database) -> None:
    async with record.pool.connection() as connection, connection.transaction(force_rollback=True):
        await append_audit(connection, entry(9), at=datetime.now(UTC))
    async with record.pool.connection() as connection, connection.transaction():
        await append_audit(connection, entry(10), at=datetime.now(UTC))
    found = await verify_audit(record)
    assert (found.is_whole, found.rows) == (True, ROWS + 1)
