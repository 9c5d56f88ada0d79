"""Rules: versions that are proposed, decided and rolled back, and which of them a turn is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr

from core.database import Database
from core.process import opened_process
from core.settings import Settings
from core.tenants import as_tenant
from memory.forgetting import count, erase, traces
from memory.rules import RuleRefusedError, Scope, rule_tokens, trying
from memory.rules_changing import (
    Change,
    activate,
    changing,
    make_active,
    reject,
    retire,
    roll_back,
)
from memory.rules_listing import Wanted, rule_history, rule_named, rules
from memory.rules_proposing import MAX_OPEN, Evidence
from tests.unit.memory.rulebook import ACME, active, events, found, proposed, told

ADA = Scope("acme", user="ada")
DESK = Scope("acme", agent="desk")
ADA_AT_DESK = Scope("acme", user="ada", agent="desk")


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, rules_max_tokens=100)
    async with opened_process(settings) as process:
        yield await process.database()


async def test_a_proposed_rule_is_told_to_nobody_until_a_person_decides(database: Database) -> None:
    rule = await proposed(database, "Use  metric\nunits.")
    assert (rule.status, rule.version, rule.text, rule.activated_at) == (
        "proposed",
        1,
        "Use metric units.",
        None,
    )
    assert await told(database) == []
    rule = await activate(database, "acme", rule.id, by="ann", why="all our customers do")
    assert (rule.status, rule.decided_by, rule.why) == ("active", "ann", "all our customers do")
    assert await told(database) == ["Use metric units."]
    assert await events(database, rule) == [
        ("ann", None, "proposed", "person"),
        ("ann", "proposed", "active", "all our customers do"),
    ]


async def test_a_new_version_takes_the_place_of_the_old_one_which_stays_in_the_history(
    database: Database,
) -> None:
    old = await active(database, "Use metric units.")
    new = await active(database, "Use imperial units.")
    assert (new.version, new.replaced) == (2, old.id)
    assert await told(database) == ["Use imperial units."]
    old = await rule_named(database, "acme", str(old.id))
    assert (old.status, old.text) == ("retired", "Use metric units.")
    assert (await events(database, old))[-1] == ("ann", "active", "retired", "replaced by version 2")


async def test_rolling_back_goes_to_the_version_before_each_time_and_is_recorded(database: Database) -> None:
    for text in ("one", "two", "three"):
        await active(database, text)
    gone, back = await roll_back(database, ACME, "units", by="bob", why="two was better")
    assert back is not None
    assert (gone.text, gone.status, back.text, back.status) == ("three", "retired", "two", "active")
    assert await told(database) == ["two"]
    assert (await events(database, back))[-1] == ("bob", "retired", "active", "two was better")
    assert (await events(database, gone))[-1] == ("bob", "active", "retired", "two was better")
    await roll_back(database, ACME, "units", by="bob")
    assert await told(database) == ["one"]
    gone, back = await roll_back(database, ACME, "units", by="bob")
    assert (gone.text, back) == ("one", None)
    assert await told(database) == []
    with pytest.raises(RuleRefusedError, match="nothing to roll back"):
        await roll_back(database, ACME, "units", by="bob")


async def test_of_two_people_who_decide_at_once_one_version_is_active(database: Database) -> None:
    versions = [await proposed(database, f"text {number}") for number in range(8)]
    async with asyncio.TaskGroup() as group:
        for one in versions:
            group.create_task(activate(database, "acme", one.id, by="ann"))
    assert len(await told(database)) == 1
    listed = await rules(database, "acme", Wanted())
    assert sorted(one.status for one in listed) == ["active", *["retired"] * 7]
    assert len({one.replaced for one in listed}) == 8


async def test_a_decision_counts_once(database: Database) -> None:
    rule = await proposed(database, "one")

    async def decided(which: Any) -> str:
        try:
            return (await which(database, "acme", rule.id, by="ann")).status
        except RuleRefusedError:
            return "refused"

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(decided(which)) for which in (activate, reject, activate, reject)]
    assert sorted(task.result() == "refused" for task in tasks) == [False, True, True, True]
    assert len(await events(database, rule)) == 2


async def test_the_database_takes_no_second_active_version_whoever_writes(database: Database) -> None:
    await active(database, "one")
    two = await proposed(database, "two")
    with pytest.raises(Exception, match="rule_one_active"):
        async with as_tenant(database, "acme") as connection:
            await connection.execute("update boring.rule set status = 'active' where id = %s", (two.id,))


@pytest.mark.parametrize(
    ("decide", "before"), [(retire, "proposed"), (reject, "active"), (activate, "active"), (activate, "gone")]
)
async def test_a_change_that_does_not_fit_the_status_is_refused_and_changes_nothing(
    database: Database, decide: Any, before: str
) -> None:
    rule = await proposed(database, "one")
    if before != "proposed":
        await activate(database, "acme", rule.id, by="ann")
    if before == "gone":
        await retire(database, "acme", rule.id, by="ann")
    known = await events(database, rule)
    with pytest.raises(RuleRefusedError, match="would have to be"):
        await decide(database, "acme", rule.id, by="bob")
    assert await events(database, rule) == known


async def test_what_a_version_says_and_what_happened_to_it_can_not_be_rewritten(database: Database) -> None:
    await active(database, "one")
    for forged in (
        "update boring.rule set text = 'two'",
        "update boring.rule set key = 'two'",
        "update boring.rule_event set to_status = 'retired'",
        "update boring.rule_evidence set quote = ''",
    ):
        with pytest.raises(InsufficientPrivilege):
            async with as_tenant(database, "acme") as connection:
                await connection.execute(forged)


async def test_the_more_specific_rule_of_a_key_counts_and_the_most_specific_come_first(
    database: Database,
) -> None:
    await active(database, "tenant's units")
    await active(database, "tenant's tone", key="tone")
    await active(database, "desk's units", scope=DESK)
    await active(database, "ada's tone", key="tone", scope=ADA)
    await active(database, "ada's names at the desk", key="names", scope=ADA_AT_DESK)
    assert await told(database, ADA_AT_DESK) == ["ada's names at the desk", "ada's tone", "desk's units"]
    assert await told(database, ADA) == ["ada's tone", "tenant's units"]
    assert await told(database, DESK) == ["desk's units", "tenant's tone"]
    assert sorted(await told(database)) == ["tenant's tone", "tenant's units"]


async def test_rules_are_bounded_in_tokens_and_those_of_users_give_way(database: Database) -> None:
    await active(database, "The operator's rule. " * 10, key="long")
    for number in range(10):
        await active(database, f"Wish {number}: " + "please " * 10, key=f"wish {number}", scope=ADA)
    all_of_them = await found(database, ADA, max_tokens=100)
    assert sum(map(rule_tokens, all_of_them.rules)) <= 100
    assert "The operator's rule." in all_of_them.rules[-1].text
    assert len(all_of_them.rules) + len(all_of_them.left_out) == 11
    assert 0 < len(all_of_them.left_out) < 10
    assert {rule.scope.user for rule in all_of_them.left_out} == {"ada"}


async def test_of_rules_above_a_limit_that_was_lowered_the_least_specific_and_oldest_are_left_out(
    database: Database,
) -> None:
    for key, scope in (("old", ACME), ("new", ACME), ("desk", DESK), ("ada", ADA)):
        await active(database, f"{key} " + "word " * 15, key=key, scope=scope)
    everything = await found(database, ADA_AT_DESK, max_tokens=100)
    assert [rule.key for rule in everything.rules] == ["ada", "desk", "new", "old"]
    each = max(map(rule_tokens, everything.rules))
    for room, told_of, left_out in (
        (3, ["desk", "new", "old"], ["ada"]),
        (2, ["desk", "new"], ["old", "ada"]),
        (1, ["desk"], ["new", "old", "ada"]),
        (0, [], ["desk", "new", "old", "ada"]),
    ):
        some = await found(database, ADA_AT_DESK, max_tokens=room * each)
        assert [rule.key for rule in some.rules] == told_of
        assert [rule.key for rule in some.left_out] == left_out


async def test_people_who_decide_at_once_do_not_pass_the_limit_together(database: Database) -> None:
    first, second = [await proposed(database, "word " * 60, key=f"key {number}") for number in range(2)]
    async with changing(database, "acme", first.id) as (connection, rule):
        await make_active(connection, rule, Change("active", ("proposed",), "ann"))
        other = asyncio.create_task(activate(database, "acme", second.id, by="bob"))
        async with asyncio.timeout(10):
            while True:
                if other.done() or await somebody_waits(database):
                    break
                await asyncio.sleep(0.01)
    with pytest.raises(RuleRefusedError, match="BORING_RULES_MAX_TOKENS allows 100"):
        await other
    assert len(await told(database)) == 1


async def somebody_waits(database: Database) -> bool:
    async with database.pool.connection() as connection:
        found = await connection.execute("select from pg_locks where locktype = 'advisory' and not granted")
        return await found.fetchone() is not None


async def test_a_version_that_no_longer_has_room_is_not_rolled_back_to(database: Database) -> None:
    long = await active(database, "word " * 60)
    await active(database, "short")
    await active(database, "word " * 55, key="other")
    with pytest.raises(RuleRefusedError, match="BORING_RULES_MAX_TOKENS allows 100"):
        await roll_back(database, ACME, "units", by="bob")
    assert "short" in await told(database)
    assert (await rule_named(database, "acme", str(long.id))).status == "retired"


@pytest.mark.parametrize("scope", [ACME, DESK])
async def test_more_of_the_operators_rules_than_a_turn_may_have_are_not_activated(
    database: Database, scope: Scope
) -> None:
    await active(database, "word " * 60, key="first", scope=DESK)
    second = await proposed(database, "word " * 60, key="second", scope=scope)
    with pytest.raises(RuleRefusedError, match="BORING_RULES_MAX_TOKENS allows 100"):
        await activate(database, "acme", second.id, by="ann")
    assert (await rule_named(database, "acme", str(second.id))).status == "proposed"
    await activate(database, "acme", (await proposed(database, "word " * 60, scope=ADA)).id, by="ann")


async def test_the_same_proposal_gathers_evidence_and_makes_no_new_version(database: Database) -> None:
    for run in ("r1", "r2", "r2"):
        rule = await proposed(database, "one", source="feedback", evidence=Evidence(f"run:{run}", run_id=run))
    assert (rule.version, rule.times) == (1, 2)
    assert len(await rules(database, "acme", Wanted())) == 1
    _, evidence = await rule_history(database, rule)
    assert [one.run_id for one in evidence] == ["r1", "r2"]


async def test_what_a_person_rejected_is_not_proposed_again_but_by_a_person(database: Database) -> None:
    rule = await proposed(database, "one", source="feedback", evidence=Evidence("run:r1"))
    await reject(database, "acme", rule.id, by="bob")
    again = await proposed(database, "one", source="feedback", evidence=Evidence("run:r2"))
    assert (again.id, again.status, again.times) == (rule.id, "retired", 2)
    by_hand = await proposed(database, "one")
    assert (by_hand.version, by_hand.status) == (2, "proposed")


async def test_proposals_that_wait_are_bounded(database: Database) -> None:
    for number in range(MAX_OPEN):
        await proposed(database, f"text {number}", key=f"k{number}", source="explicit", scope=ADA)
    with pytest.raises(RuleRefusedError, match="50 proposals wait"):
        await proposed(database, "one more", source="explicit", scope=ADA)
    await proposed(database, "one more", source="explicit")
    await proposed(database, "by hand", scope=ADA)


@pytest.mark.parametrize(("key", "text"), [("", "x"), ("k", "  "), ("k" * 121, "x"), ("k", "x" * 501)])
async def test_what_is_no_rule_is_refused(database: Database, key: str, text: str) -> None:
    with pytest.raises(RuleRefusedError, match="Give 1 to"):
        await proposed(database, text, key=key)


async def test_a_version_on_trial_counts_as_active_in_its_block_and_nowhere_else(database: Database) -> None:
    await active(database, "old")
    candidate = await proposed(database, "new")
    with trying(candidate):
        assert await told(database) == ["new"]
        assert await told(database, Scope("umbrella")) == []
        with trying(None):
            assert await told(database) == ["old"]
    assert await told(database) == ["old"]
    for_ada = await proposed(database, "ada's", scope=ADA)
    with trying(for_ada):
        assert await told(database) == ["old"]
        assert await told(database, ADA) == ["ada's"]


async def test_forgetting_a_user_leaves_no_rule_that_came_from_them_and_no_name(database: Database) -> None:
    canary = "ada-canary"
    kept = await active(database, "kept", key="kept")
    for number, (scope, evidence) in enumerate(
        [
            (Scope("acme", user=canary), Evidence("e")),
            (ACME, Evidence("e", user=canary, quote=f"{canary} said so")),
            (DESK, Evidence("e", said_by=canary)),
        ]
    ):
        await active(database, f"text {number}", key=f"k{number}", scope=scope, evidence=evidence)
    retired = await proposed(database, "by them", key="by them", by=canary, evidence=None)
    await reject(database, "acme", retired.id, by=canary, why="no")
    async with database.pool.connection() as connection, connection.transaction():
        of = await traces(connection, "acme", canary)
        assert (await count(connection, of))["rules"] == 3
        assert (await erase(connection, of))["rules"] == 3
        assert not any((await count(connection, of)).values())
    assert await told(database, DESK) == ["kept"]
    assert [one.id for one in await rules(database, "acme", Wanted(key="kept"))] == [kept.id]
    async with as_tenant(database, "acme") as connection:
        for table in ("rule", "rule_event", "rule_evidence"):
            held = await (await connection.execute(f"select t::text as row from boring.{table} t")).fetchall()  # noqa: S608 - names of tables
            assert [row for row in held if canary in row["row"]] == []
