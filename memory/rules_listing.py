"""What is told of rules: lists, one with its history, and what has to be forgotten of a user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from core.database import Database
from core.tenants import as_tenant
from core.text import storable_text
from memory.rules import COLUMNS, Rule, RuleRefusedError, Status, rule_of

_LIST: LiteralString = f"""
select {COLUMNS} from boring.rule
where tenant = %(tenant)s and (%(user)s::text is null or user_id = %(user)s)
    and (%(agent)s::text is null or agent = %(agent)s) and (%(key)s::text is null or key = %(key)s)
    and (%(status)s::text is null or status = %(status)s)
    and (%(beginning)s::text is null or starts_with(id::text, %(beginning)s))
order by array_position(array['proposed', 'on_trial', 'active', 'retired'], status), user_id, agent, key,
    version desc
limit %(limit)s
"""  # noqa: S608 - put together from constants
_TRIED: LiteralString = f"""
select {COLUMNS} from boring.rule where tenant = %s and trial is not null
order by decided_at desc, id limit %s
"""  # noqa: S608 - put together from constants
_EVENTS = (
    "select at, who, from_status, to_status, why from boring.rule_event where rule_id = %s order by number"
)
_EVIDENCE = """
select name, user_id as user, said_by, thread_id, run_id, message_id, call_id, approval_id, quote, at
from boring.rule_evidence where rule_id = %s order by number
"""
RULES_OF_USER: Final[LiteralString] = """
tenant = %(tenant)s and (user_id = %(user)s or (proposed_by = %(user)s and source <> 'person') or exists (
    select from boring.rule_evidence evidence
    where evidence.rule_id = rule.id and %(user)s in (evidence.user_id, evidence.said_by)))
"""
"""The condition that a rule is for a user or was derived from them, for `memory.forgetting`."""
REPLACED_BY_OTHERS: Final[LiteralString] = f"""
with recursive gone as (select id, replaced from boring.rule where {RULES_OF_USER}),
earlier (id, before) as (
    select rule.id, gone.replaced from boring.rule join gone on rule.replaced = gone.id
    where rule.id not in (select id from gone)
    union select earlier.id, gone.replaced from earlier join gone on earlier.before = gone.id
)
update boring.rule set replaced = nullif(before, rule.id) from earlier
where rule.id = earlier.id and before not in (select id from gone)
"""  # noqa: S608 - put together from constants
"""Has versions that stay go back to what was active before those of the user."""


@dataclass(frozen=True, slots=True)
class RuleEvent:
    """A change of a version's status."""

    at: datetime
    who: str
    from_status: Status | None
    to_status: Status
    why: str


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """What led to a version; see `memory.rules_proposing.Evidence`."""

    name: str
    user: str
    said_by: str
    thread_id: str | None
    run_id: str | None
    message_id: str | None
    call_id: str | None
    approval_id: str | None
    quote: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which versions are looked for; what is unset does not narrow them, an empty text means every one.

    Attributes:
        beginning: of the id.
    """

    user: str | None = None
    agent: str | None = None
    key: str | None = None
    status: Status | None = None
    beginning: str | None = None


async def rules(database: Database, tenant: str, wanted: Wanted, *, limit: int = 100) -> list[Rule]:
    """Return versions, those that wait for a decision first."""
    values = {
        name: None if (value := getattr(wanted, name)) is None else storable_text(value)
        for name in Wanted.__slots__
    }
    async with as_tenant(database, tenant) as connection:
        found = await connection.execute(_LIST, {**values, "tenant": tenant, "limit": limit})
        return [rule_of(row) for row in await found.fetchall()]


async def rules_tried(database: Database, tenant: str, *, limit: int = 100) -> list[Rule]:
    """Return the versions that were tried, each with what came of its last trial, the newest first."""
    async with as_tenant(database, tenant, reading=True) as connection:
        found = await connection.execute(_TRIED, (tenant, limit))
        return [rule_of(row) for row in await found.fetchall()]


async def rule_named(database: Database, tenant: str, beginning: str) -> Rule:
    """Return the version whose id begins like this.

    Raises:
        RuleRefusedError: there is none, or more than one.
    """
    found = await rules(database, tenant, Wanted(beginning=beginning.lower()), limit=6) if beginning else []
    if not found:
        raise RuleRefusedError(f"There is no rule {beginning!r} of the tenant {tenant!r}. List: boring rules")
    if len(found) > 1:
        ids = ", ".join(str(rule.id)[:13] for rule in found[:5])
        raise RuleRefusedError(f"Several rules begin with {beginning!r}, such as {ids}. Give more of it.")
    return found[0]


async def rule_history(database: Database, rule: Rule) -> tuple[list[RuleEvent], list[RuleEvidence]]:
    """Return what has happened to a version, and what led to it, the oldest first."""
    async with as_tenant(database, rule.scope.tenant) as connection:
        events = await (await connection.execute(_EVENTS, (rule.id,))).fetchall()
        evidence = await (await connection.execute(_EVIDENCE, (rule.id,))).fetchall()
    return [RuleEvent(**row) for row in events], [RuleEvidence(**row) for row in evidence]
