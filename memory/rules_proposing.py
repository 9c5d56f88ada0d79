"""How a rule is proposed: a version that waits for a decision, with what led to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, LiteralString
from uuid import uuid4

from core.database import Database
from core.tenants import Connection, as_tenant
from core.text import storable, storable_text
from memory.rules import COLUMNS, MAX_KEY_CHARS, MAX_TEXT_CHARS, Rule, RuleRefusedError, Scope, Source
from memory.rules_changing import lock_key, record_event, the_rule

MAX_QUOTE_CHARS: Final = 2000
MAX_OPEN: Final = 50
"""Most proposals of one scope that wait for a decision, those by a person's own hand not counted."""
_SAME_KEY: LiteralString = (
    "tenant = %(tenant)s and user_id = %(user)s and agent = %(agent)s and key = %(key)s"
)
_ALIKE: LiteralString = f"""
select {COLUMNS} from boring.rule
where {_SAME_KEY} and text = %(text)s
    and (status <> 'retired' or (activated_at is null and %(source)s <> 'person'))
order by status = 'retired', version desc limit 1
"""  # noqa: S608 - put together from constants
_OPEN: LiteralString = """
select count(*) as open from boring.rule
where tenant = %(tenant)s and user_id = %(user)s and agent = %(agent)s and status = 'proposed'
    and source <> 'person'
"""
_ADD: LiteralString = f"""
insert into boring.rule (id, tenant, user_id, agent, key, version, text, source, proposed_by)
select %(id)s, %(tenant)s, %(user)s, %(agent)s, %(key)s,
    coalesce((select max(version) from boring.rule where {_SAME_KEY}), 0) + 1,
    %(text)s, %(source)s, %(by)s
"""  # noqa: S608 - put together from constants
_ADD_EVIDENCE = """
insert into boring.rule_evidence (tenant, rule_id, name, user_id, said_by, thread_id, run_id, message_id,
    call_id, approval_id, quote)
values (%(tenant)s, %(rule_id)s, %(name)s, %(user)s, %(said_by)s, %(thread_id)s, %(run_id)s, %(message_id)s,
    %(call_id)s, %(approval_id)s, %(quote)s)
on conflict (rule_id, name) do nothing
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What led to a rule.

    Attributes:
        name: tells it from other evidence of the same rule; the same twice counts once.
        user: whose run, words or calls it comes from; the rule is deleted when they are forgotten.
        said_by: who said or did it.
        quote: the words that led to it.
    """

    name: str
    user: str = ""
    said_by: str = ""
    thread_id: str | None = None
    run_id: str | None = None
    message_id: str | None = None
    call_id: str | None = None
    approval_id: str | None = None
    quote: str = ""


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule that is proposed.

    Attributes:
        text: what the model would be told, in one line.
        by: who proposes it.
        evidence: what led to it.
    """

    scope: Scope
    key: str
    text: str
    source: Source
    by: str
    evidence: Sequence[Evidence] = ()


async def propose(database: Database, new: NewRule) -> Rule:
    """Propose a rule; return its version, which waits for a decision.

    What is proposed again in the same words gathers evidence and makes no new version. That holds too for
    what was rejected, unless a person proposes it. What a person has proposed by hand is theirs: it gathers
    no evidence of what others say, with whom it would have to be forgotten.

    Raises:
        RuleRefusedError: the key or the text is empty or too long, or too many proposals wait already.
    """
    values = _values(new)
    async with as_tenant(database, new.scope.tenant) as connection:
        await lock_key(connection, new.scope, values["key"])
        row = await (await connection.execute(_ALIKE, values)).fetchone()
        if row is None:
            await _check_room(connection, new, values)
            await connection.execute(_ADD, values)
            await record_event(
                connection, new.scope.tenant, values["id"], by=values["by"], to="proposed", why=new.source
            )
        rule_id = values["id"] if row is None else row["id"]
        is_by_hand = row is not None and row["source"] == "person" != new.source
        for one in () if is_by_hand else new.evidence:
            evidence = {**storable(asdict(one)), "tenant": new.scope.tenant, "rule_id": rule_id}
            await connection.execute(_ADD_EVIDENCE, {**evidence, "quote": one.quote[:MAX_QUOTE_CHARS]})
        return await the_rule(connection, new.scope.tenant, rule_id)


def _values(new: NewRule) -> dict[str, Any]:
    """Return the columns of a new version.

    Raises:
        RuleRefusedError: the key or the text is empty or too long.
    """
    key, text = (" ".join(storable_text(one).split()) for one in (new.key, new.text))
    for name, value, most in (("key", key, MAX_KEY_CHARS), ("text", text, MAX_TEXT_CHARS)):
        if not 0 < len(value) <= most:
            raise RuleRefusedError(
                f"The {name} of the rule has {len(value)} characters: {value[:60]!r}. Give 1 to {most}."
            )
    return {
        "id": uuid4(),
        "tenant": new.scope.tenant,
        "user": new.scope.user,
        "agent": new.scope.agent,
        "key": key,
        "text": text,
        "source": new.source,
        "by": storable_text(new.by),
    }


async def _check_room(connection: Connection, new: NewRule, values: dict[str, Any]) -> None:
    if new.source == "person":
        return
    row = await (await connection.execute(_OPEN, values)).fetchone()
    if row is not None and row["open"] >= MAX_OPEN:
        raise RuleRefusedError(
            f"{row['open']} proposals wait for a decision already; another one is not taken: {new.text!r}. "
            "Decide some of them: boring rules --status proposed"
        )
