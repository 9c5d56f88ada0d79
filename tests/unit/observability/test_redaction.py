"""Rows of the audit record can lose what they hold of a person, and the record still shows any tampering."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from pydantic import SecretStr

from core.database import Database, opened_database
from core.settings import Settings
from observability import redaction
from observability.audit import FIRST, AuditEntry, append_audit, verify_audit
from observability.redaction import redact_rows, rows_to_redact
from observability.seals import content_hash, seal

BLANKED: LiteralString = (
    "update boring.audit set who = '', thread_id = '', run_id = '', arguments_hash = '', salt = '',"
    " before = '{}', after = '{}',"
)


async def add(database: Database, entry: AuditEntry) -> None:
    async with database.pool.connection() as connection, connection.transaction():
        await append_audit(connection, entry, at=datetime.now(UTC))


def entry(thread: str) -> AuditEntry:
    return AuditEntry("approve", f"of {thread}", thread, "r", "pay", "ann", "clerk", "h", {}, {"to": "Ada"})


async def redact(database: Database, thread: str) -> None:
    async with database.pool.connection() as connection, connection.transaction():
        listed = await rows_to_redact(connection, [thread], [])
        told = AuditEntry("redact", "x", "", "", "", "ops", "", "", {}, {"why": "w", "rows": listed})
        await append_audit(connection, told, at=datetime.now(UTC))
        row = await (await connection.execute("select max(number) as n from boring.audit")).fetchone()
        await redact_rows(connection, listed, by=row["n"] if row else 0)


@pytest.fixture
async def record(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_database(settings) as database:
        for thread in ("a", "b", "a"):
            await add(database, entry(thread))
        yield database


async def changed(record: Database, statement: LiteralString) -> None:
    """Change the record as only an owner of the table can."""
    async with record.pool.connection() as connection, connection.transaction():
        await connection.execute("alter table boring.audit disable trigger audit_only_grows")
        await connection.execute(statement)
        await connection.execute("alter table boring.audit enable trigger audit_only_grows")


async def test_a_redacted_record_is_whole_keeps_its_head_and_goes_on(record: Database) -> None:
    head = (await verify_audit(record)).head
    await redact(record, "a")
    await add(record, entry("c"))
    found = await verify_audit(record, seen=head)
    assert (found.is_whole, found.rows, found.redacted) == (True, 5, 2)
    async with record.pool.connection() as connection:
        left = await connection.execute("select * from boring.audit order by number")
        kept = await left.fetchall()
    assert [row["who"] for row in kept] == ["", "ann", "", "ops", "ann"]
    assert (kept[0]["salt"], kept[0]["after"], kept[0]["tool"]) == ("", {}, "pay")


async def replace_by_an_old_row(record: Database) -> None:
    """Leave one row, as older versions have sealed it, without a salt."""
    await changed(record, "delete from boring.audit")
    text = (
        '{"after":{"to":"Ada"},"arguments_hash":"h","at":"2026-01-02T03:04:05.000000+00:00","before":{},'
        '"event":"approve","number":1,"role":"clerk","run_id":"r","subject":"s","thread_id":"t","tool":"pay",'
        '"who":"ann"}'
    )
    sealed = hashlib.sha256(f"{FIRST}\n{text}".encode()).hexdigest()
    async with record.pool.connection() as connection:
        await connection.execute(
            "insert into boring.audit (number, at, event, subject, thread_id, run_id, tool, who, role,"
            " arguments_hash, before, after, previous_hash, hash) values (1, '2026-01-02 03:04:05+00',"
            " 'approve', 's', 't', 'r', 'pay', 'ann', 'clerk', 'h', '{}', %s, %s, %s)",
            ('{"to":"Ada"}', FIRST, sealed),
        )


async def test_rows_of_before_that_have_no_salt_are_whole_and_can_be_redacted(record: Database) -> None:
    await replace_by_an_old_row(record)
    assert (await verify_audit(record)).is_whole
    await redact(record, "t")
    found = await verify_audit(record)
    assert (found.is_whole, found.redacted) == (True, 1)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("update boring.audit set role = 'cfo' where number = 1", "what is left of the redacted row 1 was"),
        ("update boring.audit set who = 'eve' where number = 1", "row 1 is redacted, and holds more"),
        ("update boring.audit set redacted_by = null where number = 1", "row 1 was changed"),
        ("delete from boring.audit where number = 4", "row 1 has lost its content, and no row tells of it"),
        (
            BLANKED + " redacted_by = 4 where number = 2",
            "row 2 has lost its content, and no row tells of it",
        ),
    ],
)
async def test_tampering_with_a_redacted_record_is_found(
    record: Database, statement: LiteralString, why: str
) -> None:
    await redact(record, "a")
    await changed(record, statement)
    found = await verify_audit(record)
    assert not found.is_whole
    assert why in found.why


async def test_redacting_hides_no_tampering_from_before(record: Database) -> None:
    await changed(record, "update boring.audit set who = 'mallory' where number = 3")
    await redact(record, "a")
    found = await verify_audit(record)
    assert found.why == "row 3 was changed before it was redacted"


@pytest.mark.parametrize(
    "statement",
    [
        "update boring.audit set redacted_by = 3 where number = 1",
        BLANKED + " redacted_by = 3 where number = 1",
        "update boring.audit set after = '{}' where number = 1",
    ],
)
async def test_a_row_that_no_later_one_lists_can_t_be_redacted(
    record: Database, statement: LiteralString
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="can only grow"):
        async with record.pool.connection() as connection:
            await connection.execute(statement)


async def rewritten(record: Database, number: int, who: str) -> None:
    """Change a row as an owner of the table could who knows how it is sealed, and chain the next one on."""
    async with record.pool.connection() as connection:
        found = await connection.execute("select * from boring.audit where number = %s", (number,))
        row = await found.fetchone()
        assert row is not None
        forged = {**row, "who": who}
        forged["content_hash"] = content_hash(forged)
        forged["hash"] = seal(forged, row["previous_hash"])
        await connection.execute("alter table boring.audit disable trigger audit_only_grows")
        await connection.execute(
            "update boring.audit set who = %(who)s, content_hash = %(content_hash)s, hash = %(hash)s"
            " where number = %(number)s",
            forged,
        )
        await connection.execute(
            "update boring.audit set previous_hash = %s where number = %s", (forged["hash"], number + 1)
        )
        await connection.execute("alter table boring.audit enable trigger audit_only_grows")


async def test_a_redacted_row_hides_no_change_of_those_before_it(record: Database) -> None:
    head = (await verify_audit(record)).head
    await redact(record, "a")
    await rewritten(record, 2, "mallory")
    for seen in (None, head):
        assert (await verify_audit(record, seen=seen)).why == "what is left of the redacted row 3 was changed"


async def test_a_redaction_that_is_forged_together_with_a_change_shows_to_who_kept_the_head(
    record: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = (await verify_audit(record)).head
    await rewritten(record, 2, "mallory")
    monkeypatch.setattr(redaction, "fits", lambda *_: True)
    await redact(record, "a")
    assert not (await verify_audit(record, seen=head)).is_whole


async def test_a_redacted_row_can_not_be_passed_off_as_one_of_an_older_version(record: Database) -> None:
    head = (await verify_audit(record)).head
    await redact(record, "a")
    await rewritten(record, 2, "mallory")
    await changed(
        record,
        "update boring.audit set content_hash = '', hash = substr(hash, 3), previous_hash ="
        " case when number = 1 then previous_hash else substr(previous_hash, 3) end",
    )
    found = await verify_audit(record, seen=head)
    assert not found.is_whole


async def test_rows_that_are_added_to_those_of_an_older_version_are_sealed_from_there_on(
    record: Database,
) -> None:
    await replace_by_an_old_row(record)
    head = (await verify_audit(record)).head
    for thread in ("a", "b"):
        await add(record, entry(thread))
    await redact(record, "t")
    await redact(record, "a")
    found = await verify_audit(record, seen=head)
    assert (found.is_whole, found.redacted, found.rows) == (True, 2, 5)
    await changed(
        record, "update boring.audit set previous_hash = 'x', hash = substr(hash, 3) where number = 3"
    )
    assert not (await verify_audit(record)).is_whole
