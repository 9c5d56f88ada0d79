"""What the tests of rules share: a tenant, and rules proposed in few words."""

from typing import Any

from core.database import Database
from memory.rules import Applicable, Rule, Scope, applicable
from memory.rules_changing import activate
from memory.rules_listing import rule_history
from memory.rules_proposing import Evidence, NewRule, propose

ACME = Scope("acme")


async def proposed(
    database: Database,
    text: str,
    *,
    key: str = "units",
    scope: Scope = ACME,
    source: Any = "person",
    by: str = "ann",
    evidence: Evidence | None = None,
) -> Rule:
    found = () if evidence is None else (evidence,)
    return await propose(database, NewRule(scope, key, text, source, by, found))


async def active(database: Database, text: str, **parts: Any) -> Rule:
    rule = await proposed(database, text, **parts)
    return await activate(database, rule.scope.tenant, rule.id, by="ann")


async def told(database: Database, scope: Scope = ACME, *, max_tokens: int = 800) -> list[str]:
    return [rule.text for rule in (await found(database, scope, max_tokens=max_tokens)).rules]


async def found(database: Database, scope: Scope = ACME, *, max_tokens: int = 800) -> Applicable:
    return await applicable(database, scope, max_tokens=max_tokens)


async def events(database: Database, rule: Rule) -> list[tuple[str, str | None, str, str]]:
    happened, _ = await rule_history(database, rule)
    return [(one.who, one.from_status, one.to_status, one.why) for one in happened]
