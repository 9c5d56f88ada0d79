"""What becomes of the rules of others when a user is forgotten."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from core.process import Process
from memory.rules import Rule, Scope
from memory.rules_changing import activate, roll_back
from memory.rules_listing import Wanted, rules
from memory.rules_proposing import Evidence, NewRule, propose
from tests.graphs.remembering import remembering
from tools.forgetting import forget_user

SCOPE = Scope("acme")
OF_ADA = (Evidence("said by ada", "ada", "ada", quote="Be brief."),)


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with remembering(postgres_url, tmp_path) as opened:
        yield opened


async def activated(process: Process, text: str, evidence: Sequence[Evidence] = ()) -> Rule:
    database = await process.database()
    source = "feedback" if evidence else "person"
    by = "ada" if evidence else "ann"
    rule = await propose(database, NewRule(SCOPE, "tone", text, source, by, evidence))
    return await activate(database, "acme", rule.id, by="bob")


async def listed(process: Process) -> list[tuple[int, str]]:
    found = await rules(await process.database(), "acme", Wanted())
    return sorted((one.version, one.status) for one in found)


async def test_a_rule_by_hand_stays_when_one_is_forgotten_who_had_said_the_same(process: Process) -> None:
    await activated(process, "Be brief.")
    again = NewRule(SCOPE, "tone", "Be brief.", "feedback", "ada", OF_ADA)
    await propose(await process.database(), again)
    assert (await forget_user("acme", "ada", by="op")).is_whole
    assert await listed(process) == [(1, "active")]


async def test_rolling_back_goes_past_the_versions_of_who_is_forgotten(process: Process) -> None:
    await activated(process, "Be long.")
    await activated(process, "Be brief.", OF_ADA)
    await activated(process, "Be terse.", [Evidence("said again", "ada", "ada")])
    await activated(process, "Be plain.")
    await forget_user("acme", "ada", by="op")
    assert await listed(process) == [(1, "retired"), (4, "active")]
    gone, back = await roll_back(await process.database(), SCOPE, "tone", by="bob")
    assert (gone.version, back and back.version) == (4, 1)
    assert await listed(process) == [(1, "active"), (4, "retired")]


async def test_rolling_back_leaves_nothing_where_all_earlier_versions_are_forgotten(process: Process) -> None:
    await activated(process, "Be brief.", OF_ADA)
    await activated(process, "Be plain.")
    await forget_user("acme", "ada", by="op")
    _, back = await roll_back(await process.database(), SCOPE, "tone", by="bob")
    assert back is None
