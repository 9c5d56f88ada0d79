"""No tenant gets to see, change or forge a rule of another."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import LiteralString

import pytest
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr

from core.database import Database
from core.process import opened_process
from core.settings import Settings
from core.tenants import as_tenant
from memory.forgetting import erase, traces
from memory.rules import RuleRefusedError, Scope
from memory.rules_changing import activate, reject, roll_back
from memory.rules_listing import Wanted, rule_named, rules
from memory.rules_proposing import Evidence
from tests.unit.memory.rulebook import active, found, proposed

TENANTS = ("acme", "umbrella", "o'neil", "%")
BY_HAND: tuple[LiteralString, ...] = (
    "select tenant from boring.rule where tenant <> current_setting('boring.tenant') or true",
    "select tenant from boring.rule_event",
    "select e.tenant from boring.rule_evidence e full join boring.rule r on true",
    "update boring.rule set why = 'x' returning tenant",
)


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path)) as process:
        database = await process.database()
        for tenant in TENANTS:
            for user in ("", "ada"):
                for agent in ("", "bob"):
                    scope = Scope(tenant, user, agent)
                    await active(database, f"of {tenant}", scope=scope, evidence=Evidence("e", user="ada"))
        yield database


@pytest.mark.parametrize("tenant", [*TENANTS, "nobody's"])
async def test_no_rule_of_another_tenant_is_returned(database: Database, tenant: str) -> None:
    for user in ("", "ada", "' or true --", tenant):
        for agent in ("", "bob", "' or true --"):
            told = await found(database, Scope(tenant, user, agent))
            assert {rule.scope.tenant for rule in told.rules} <= {tenant}
    assert {rule.scope.tenant for rule in await rules(database, tenant, Wanted())} <= {tenant}
    async with as_tenant(database, tenant) as connection:
        for statement in BY_HAND:
            rows = await (await connection.execute(statement)).fetchall()
            assert {row["tenant"] for row in rows if row["tenant"]} <= {tenant}


async def test_no_rule_of_another_tenant_is_changed(database: Database) -> None:
    (theirs,) = await rules(database, "umbrella", Wanted(user="", agent=""))
    waiting = await proposed(database, "new", scope=Scope("umbrella"))
    for change in (activate, reject):
        with pytest.raises(RuleRefusedError, match="There is no rule"):
            await change(database, "acme", waiting.id, by="eve")
    with pytest.raises(RuleRefusedError, match="There is no rule"):
        await rule_named(database, "acme", str(theirs.id))
    await roll_back(database, Scope("acme"), "units", by="eve")
    async with database.pool.connection() as connection, connection.transaction():
        await erase(connection, await traces(connection, "acme", "ada"))
    async with as_tenant(database, "acme") as connection:
        await connection.execute("delete from boring.rule")
    kept = await rules(database, "umbrella", Wanted())
    assert [rule.status for rule in kept] == ["proposed", *["active"] * 4]


@pytest.mark.parametrize(
    "forged",
    [
        """insert into boring.rule_event (tenant, rule_id, who, to_status, why)
        select 'umbrella', id, 'eve', 'active', '' from boring.rule limit 1""",
        "update boring.rule set tenant = 'umbrella'",
        """insert into boring.rule (id, tenant, key, version, text, source, proposed_by)
        values (gen_random_uuid(), 'umbrella', 'k', 9, 't', 'person', 'eve')""",
        "alter table boring.rule disable row level security",
        "drop policy one_tenant on boring.rule_evidence",
        "truncate boring.rule_event",
    ],
)
async def test_the_application_role_can_neither_forge_rules_nor_lift_the_separation(
    database: Database, forged: LiteralString
) -> None:
    with pytest.raises(InsufficientPrivilege):
        async with as_tenant(database, "acme") as connection:
            await connection.execute(forged)


async def test_without_a_tenant_there_are_no_rules(database: Database) -> None:
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("set local role boring_app")
        for table in ("rule", "rule_event", "rule_evidence"):
            assert (await connection.execute(f"select from boring.{table}")).rowcount == 0
