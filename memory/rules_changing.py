"""How the status of rules changes: guarded, recorded, and one change at a time for the versions of a key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from core.database import Database
from core.process import current_process
from core.tenants import Connection, as_tenant
from core.text import storable, storable_text
from memory.items import lock_number
from memory.rules import COLUMNS, Rule, RuleRefusedError, Scope, Status, counting, rule_of, rule_tokens

_LOCK = "select pg_advisory_xact_lock(%s)"
_EVENT = """
insert into boring.rule_event (tenant, rule_id, who, from_status, to_status, why)
values (%(tenant)s, %(id)s, %(by)s, %(from)s, %(to)s, %(why)s)
"""
_ONE: LiteralString = f"select {COLUMNS} from boring.rule where tenant = %(tenant)s and id = %(id)s"  # noqa: S608 - put together from constants
_OF_KEY: LiteralString = f"""
select {COLUMNS} from boring.rule
where tenant = %(tenant)s and user_id = %(user)s and agent = %(agent)s and key = %(key)s
    and status = %(status)s
"""  # noqa: S608 - as above
_MOVE = """
update boring.rule set status = %(to)s, decided_by = %(by)s, decided_at = clock_timestamp(), why = %(why)s,
    activated_at = case when %(to)s = 'active' then coalesce(activated_at, clock_timestamp())
        else activated_at end,
    replaced = case when %(replaces)s then %(replaced)s::uuid else replaced end,
    trial = coalesce(%(trial)s::jsonb, trial)
where id = %(id)s and status = any(%(came_from)s)
"""
_OPERATORS: LiteralString = f"""
select {COLUMNS} from boring.rule where status = 'active' and tenant = %(tenant)s and user_id = ''
"""  # noqa: S608 - as above
_UNDECIDED: Sequence[Status] = ("proposed", "on_trial")


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a version's status.

    Attributes:
        came_from: the statuses of which it has to have one now.
        replaces: the version whose place it takes, in a tuple; empty leaves what is recorded.
        trial: the result of a trial.
    """

    to: Status
    came_from: Sequence[Status]
    by: str
    why: str = ""
    replaces: tuple[UUID | None, ...] = ()
    trial: dict[str, Any] | None = None


async def activate(database: Database, tenant: str, rule_id: UUID, *, by: str, why: str = "") -> Rule:
    """Make a version active that waits or is on trial, as a person decides; return it.

    The version of its key that was active is retired.

    Raises:
        RuleRefusedError: it is neither proposed nor on trial, or the rules of the tenant and the agent would
            take more tokens than a turn may have.
    """
    async with changing(database, tenant, rule_id) as (connection, rule):
        return await make_active(connection, rule, Change("active", _UNDECIDED, by, why))


async def reject(database: Database, tenant: str, rule_id: UUID, *, by: str, why: str = "") -> Rule:
    """Retire a version that waits or is on trial; return it.

    Raises:
        RuleRefusedError: it is neither proposed nor on trial.
    """
    async with changing(database, tenant, rule_id) as (connection, rule):
        return await move(connection, rule, Change("retired", _UNDECIDED, by, why))


async def retire(database: Database, tenant: str, rule_id: UUID, *, by: str, why: str = "") -> Rule:
    """Retire the active version; nothing takes its place. Return it.

    Raises:
        RuleRefusedError: it is not active.
    """
    async with changing(database, tenant, rule_id) as (connection, rule):
        return await move(connection, rule, Change("retired", ("active",), by, why))


async def roll_back(
    database: Database, scope: Scope, key: str, *, by: str, why: str = ""
) -> tuple[Rule, Rule | None]:
    """Retire the active version and make the one active again that was before it; return both in this order.

    The second is None where there was none before: then no version of the key is active.

    Raises:
        RuleRefusedError: no version of the key is active, or with the one before the rules of the tenant
            and the agent would take more tokens than a turn may have.
    """
    why = why or "rolled back"
    async with as_tenant(database, scope.tenant) as connection:
        await lock_key(connection, scope, key)
        active = await of_key(connection, scope, key, "active")
        if active is None:
            raise RuleRefusedError(
                f"No version of {key!r} is active for {_named(scope)}, so there is nothing to roll back. "
                "List what is active with: boring rules --status active"
            )
        gone = await move(connection, active, Change("retired", ("active",), by, why))
        if gone.replaced is None:
            return gone, None
        before = await the_rule(connection, scope.tenant, gone.replaced)
        back = await move(connection, before, Change("active", ("retired",), by, why))
        await _check_tokens(connection, back)
        return gone, back


async def make_active(connection: Connection, rule: Rule, change: Change) -> Rule:
    """Activate a version whose key is locked, in the same transaction retiring the one before it.

    Raises:
        RuleRefusedError: its status is another, or the tokens are not enough.
    """
    before = await of_key(connection, rule.scope, rule.key, "active")
    if before is not None and before.id != rule.id:
        why = f"replaced by version {rule.version}"
        await move(connection, before, Change("retired", ("active",), change.by, why))
    replaced = before.id if before is not None else None
    after = await move(connection, rule, replace(change, to="active", replaces=(replaced,)))
    await _check_tokens(connection, rule)
    return after


async def move(connection: Connection, rule: Rule, change: Change) -> Rule:
    """Change the status of a version whose key is locked, and record it; return it as it stands then.

    Raises:
        RuleRefusedError: its status is not one that the change starts from.
    """
    values = {
        "id": rule.id,
        "to": change.to,
        "by": storable_text(change.by),
        "why": storable_text(change.why),
        "came_from": list(change.came_from),
        "replaces": bool(change.replaces),
        "replaced": change.replaces[0] if change.replaces else None,
        "trial": None if change.trial is None else Jsonb(storable(change.trial)),
    }
    now = await the_rule(connection, rule.scope.tenant, rule.id)
    if not (await connection.execute(_MOVE, values)).rowcount:
        wanted = " or ".join(change.came_from).replace("_", " ")
        who = f" by {now.decided_by}" if now.decided_by else ""
        raise RuleRefusedError(
            f"Version {now.version} of {now.key!r} is {now.status.replace('_', ' ')}{who}; it would have to "
            f"be {wanted}. Look at it with: boring rules show {now.id}"
        )
    await record_event(
        connection,
        rule.scope.tenant,
        rule.id,
        by=change.by,
        came_from=now.status,
        to=change.to,
        why=change.why,
    )
    return await the_rule(connection, rule.scope.tenant, rule.id)


async def record_event(  # noqa: PLR0913 - a row's columns, named at the call
    connection: Connection,
    tenant: str,
    rule_id: UUID,
    *,
    by: str,
    to: Status,
    came_from: Status | None = None,
    why: str = "",
) -> None:
    """Record a change of status; nothing ever changes what is recorded."""
    who, why = storable_text(by), storable_text(why)
    values = {"tenant": tenant, "id": rule_id, "by": who, "from": came_from, "to": to, "why": why}
    await connection.execute(_EVENT, values)


@asynccontextmanager
async def changing(database: Database, tenant: str, rule_id: UUID) -> AsyncGenerator[tuple[Connection, Rule]]:
    """Yield a connection in a transaction and a version, while nobody else changes a version of its key.

    Raises:
        RuleRefusedError: the tenant has no such version.
    """
    async with as_tenant(database, tenant) as connection:
        rule = await the_rule(connection, tenant, rule_id)
        await lock_key(connection, rule.scope, rule.key)
        yield connection, await the_rule(connection, tenant, rule_id)


async def lock_key(connection: Connection, scope: Scope, key: str) -> None:
    """Let no other transaction change a version of a key until this one ends."""
    await _lock(connection, "boring.rule", scope.tenant, scope.user, scope.agent, key)


async def _lock(connection: Connection, *names: str) -> None:
    await connection.execute(_LOCK, (lock_number(*names),))


async def the_rule(connection: Connection, tenant: str, rule_id: UUID) -> Rule:
    """Return a version by its id.

    Raises:
        RuleRefusedError: the tenant has no such version.
    """
    row = await (await connection.execute(_ONE, {"tenant": tenant, "id": rule_id})).fetchone()
    if row is None:
        raise RuleRefusedError(
            f"There is no rule {rule_id} of the tenant {tenant!r}. List them: boring rules"
        )
    return rule_of(row)


async def of_key(connection: Connection, scope: Scope, key: str, status: Status) -> Rule | None:
    """Return the version of a key that is active or on trial, of which there is one at most."""
    values = {"tenant": scope.tenant, "user": scope.user, "agent": scope.agent, "key": key, "status": status}
    row = await (await connection.execute(_OF_KEY, values)).fetchone()
    return None if row is None else rule_of(row)


async def _check_tokens(connection: Connection, added: Rule) -> None:
    """Refuse what would make the rules of the tenant and an agent longer than a turn may have.

    Until the transaction ends, nobody else adds to them. A user's own rules are not counted.

    Raises:
        RuleRefusedError: they would be longer.
    """
    if added.scope.user:
        return
    await _lock(connection, "boring.rule tokens", added.scope.tenant)  # after that of the key, for everybody
    most = (await current_process()).settings.rules_max_tokens
    rows = await (await connection.execute(_OPERATORS, {"tenant": added.scope.tenant})).fetchall()
    rules = [rule_of(row) for row in rows]
    for agent in {added.scope.agent} if added.scope.agent else {rule.scope.agent for rule in rules}:
        told = counting([rule for rule in rules if rule.scope.agent in {"", agent}])
        if (tokens := sum(map(rule_tokens, told))) > most:
            for_whom = f"the agent {agent!r}" if agent else "every agent"
            raise RuleRefusedError(
                f"With {added.key!r} the active rules for {for_whom} would take about {tokens} tokens, and "
                f"BORING_RULES_MAX_TOKENS allows {most}. Retire one, or raise the limit."
            )


def _named(scope: Scope) -> str:
    parts = [f"the user {scope.user!r}" if scope.user else "every user"]
    parts.append(f"the agent {scope.agent!r}" if scope.agent else "every agent")
    return f"{' at '.join(parts)} of the tenant {scope.tenant!r}"
