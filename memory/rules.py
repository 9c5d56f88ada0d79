"""Rules and preferences that an agent has learnt: versions by scope and key, and which of them apply."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from langchain_core.messages import SystemMessage
from langchain_core.messages.utils import count_tokens_approximately
from psycopg.rows import DictRow

from core.database import Database
from core.errors import InputError
from core.tenants import as_tenant
from core.text import storable_text

Status = Literal["proposed", "on_trial", "active", "retired"]
"""Waits for a decision; is being tried; is followed; was rejected, replaced, retired or rolled back."""
Source = Literal["feedback", "approval_edit", "repeated_repair", "explicit", "person"]
"""What led to a rule: a thumbs down with a comment, arguments that a person changed before they agreed, calls
that were repaired again and again, a user's own "from now on", or somebody who wrote it down."""
MAX_TEXT_CHARS: Final = 500
MAX_KEY_CHARS: Final = 120
COLUMNS: Final[LiteralString] = """
    id, tenant, user_id, agent, key, version, status, text, source, proposed_by, created_at, decided_by,
    decided_at, why, activated_at, replaced, trial,
    (select count(*) from boring.rule_evidence where rule_id = rule.id) as times
"""
"""What a reader gets of a row."""
_ACTIVE: LiteralString = f"""
select {COLUMNS} from boring.rule
where status = 'active' and tenant = %(tenant)s and user_id in ('', %(user)s) and agent in ('', %(agent)s)
"""  # noqa: S608 - put together from constants


class RuleRefusedError(InputError):
    """A rule is not taken, or a change of its status does not count: nothing has changed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom a rule is.

    Attributes:
        tenant: never empty.
        user: empty for every user of the tenant.
        agent: the name of an agent's graph; empty for every agent.
    """

    tenant: str
    user: str = ""
    agent: str = ""

    def __post_init__(self) -> None:
        """Refuse what can't be a scope.

        Raises:
            ValueError: the tenant is empty, or a part can't be stored.
        """
        for name in ("tenant", "user", "agent"):
            value: object = getattr(self, name)
            if (
                not isinstance(value, str)
                or storable_text(value) != value
                or (name == "tenant" and not value)
            ):
                raise ValueError(f"{name} is {value!r}; expected a text that can be stored")


@dataclass(frozen=True, slots=True)
class Rule:
    """One version of a rule.

    Attributes:
        key: what it is about; versions of one scope and key take each other's place.
        version: from 1.
        text: what the model is told.
        proposed_by: who, or `repairs` where calls that were repaired led to it.
        decided_by: who changed its status last; None while it is as proposed.
        why: what they said of it.
        activated_at: when it became active first; None where it never did.
        replaced: the version that was active before it.
        trial: what came of its last trial, see `evals.rule_trials`.
        times: how often something has led to it.
    """

    id: UUID
    scope: Scope
    key: str
    version: int
    status: Status
    text: str
    source: Source
    proposed_by: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    why: str | None
    activated_at: datetime | None
    replaced: UUID | None
    trial: dict[str, Any] | None
    times: int

    @property
    def name(self) -> str:
        """The version as records name it: the key, the version and the id."""
        return f"{self.key} v{self.version} {self.id}"


@dataclass(frozen=True, slots=True)
class Applicable:
    """The rules of a turn.

    Attributes:
        rules: the most specific first: for the user and the agent, the user, the agent, the whole tenant.
        left_out: those for which the limit left no room, the most specific first, and those of users last.
    """

    rules: Sequence[Rule]
    left_out: Sequence[Rule]


_tried: ContextVar[tuple[Rule | None] | None] = ContextVar("tried_rule", default=None)


@contextmanager
def trying(rule: Rule | None) -> Generator[None]:
    """Let a version count as active for the runs of this block, in place of the active one of its key.

    Args:
        rule: the version; None tries what is active as it is, which also keeps the runs from proposing rules.
    """
    token = _tried.set((rule,))
    try:
        yield
    finally:
        _tried.reset(token)


def is_trial() -> bool:
    """Tell whether the caller runs inside `trying`."""
    return _tried.get() is not None


async def applicable(database: Database, scope: Scope, *, max_tokens: int) -> Applicable:
    """Return the active rules for a user of a tenant at an agent.

    Of one key the most specific rule counts. Tokens are given out to the rules of the agent first, then to
    those of the tenant, then to those of users; among equals to the newest first. The rules of the tenant and
    the agent all fit, see `memory.rules_changing.activate`, unless the limit was lowered since.

    Args:
        database: holds the rules.
        scope: the tenant, the user and the agent of a turn.
        max_tokens: most tokens of all rules together, by estimate.
    """
    values = {"tenant": scope.tenant, "user": scope.user, "agent": scope.agent}
    async with as_tenant(database, scope.tenant) as connection:
        rows = await (await connection.execute(_ACTIVE, values)).fetchall()
    found = counting(_with_tried([rule_of(row) for row in rows], scope))
    rules, left_out, room = list[Rule](), list[Rule](), max_tokens
    for rule in sorted(found, key=lambda one: (bool(one.scope.user), _order(one))):
        tokens = rule_tokens(rule)
        (rules if tokens <= room else left_out).append(rule)
        room -= tokens if tokens <= room else 0
    return Applicable(sorted(rules, key=_order), left_out)


def counting(rules: Sequence[Rule]) -> list[Rule]:
    """Return the most specific rule of each key."""
    by_key = {rule.key: rule for rule in sorted(rules, key=_order, reverse=True)}
    return list(by_key.values())


def rule_tokens(rule: Rule) -> int:
    """Return the tokens that a rule takes in a prompt, by estimate."""
    return count_tokens_approximately([SystemMessage(f"- {rule.text}")])


def rule_of(row: DictRow) -> Rule:
    """Return the rule that a row holds."""
    fields = {name: value for name, value in row.items() if name not in {"tenant", "user_id", "agent"}}
    return Rule(scope=Scope(row["tenant"], row["user_id"], row["agent"]), **fields)


def _with_tried(rules: Sequence[Rule], scope: Scope) -> list[Rule]:
    (tried,) = _tried.get() or (None,)
    if tried is None or tried.scope.tenant != scope.tenant:
        return list(rules)
    for_whom = (tried.scope.user in {"", scope.user}, tried.scope.agent in {"", scope.agent})
    others = [one for one in rules if (one.scope, one.key) != (tried.scope, tried.key)]
    return [*others, tried] if all(for_whom) else list(rules)


def _order(rule: Rule) -> tuple[int, float, str]:
    """Sort the most specific first, and among equals the newest."""
    specific = 2 * bool(rule.scope.user) + bool(rule.scope.agent)
    return -specific, -rule.created_at.timestamp(), str(rule.id)
