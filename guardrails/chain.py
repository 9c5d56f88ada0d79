"""How far a chain of approval has come: who has agreed, who is asked now, what has run out of time.

Pure values and rules. What stands here is kept as JSON with the request, see `memory.approvals`.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from guardrails.approval import Demand, Escalate, Level, Order

ANYBODY: Final = "*"
"""The role of a confirmation: whoever is at the keyboard, the requester included."""
Roles = Mapping[str, Collection[str]]
"""Who has which role."""


class NotAllowedError(Exception):
    """Somebody may not decide; the message says why."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One person's agreement to exactly these arguments."""

    by: str
    at: datetime
    arguments_hash: str


@dataclass(frozen=True, slots=True)
class LevelState:
    """One level of a chain.

    Attributes:
        level: who is asked now.
        state: `waiting` for the level before it, `open`, `agreed`, or `expired` where nobody did in time.
        due_at: when it expires.
        agreed: who has agreed.
        before: the roles that were asked first and let their time pass.
    """

    level: Level
    state: Literal["waiting", "open", "agreed", "expired"] = "waiting"
    due_at: datetime | None = None
    agreed: tuple[Agreement, ...] = ()
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """All levels of a request."""

    levels: tuple[LevelState, ...]
    order: Order = "sequence"

    @property
    def is_agreed(self) -> bool:
        """Whether every level has agreed."""
        return all(one.state == "agreed" for one in self.levels)

    @property
    def open(self) -> tuple[LevelState, ...]:
        """The levels that are asked now."""
        return tuple(one for one in self.levels if one.state == "open")

    @property
    def due_at(self) -> datetime | None:
        """When the next level expires."""
        return min((one.due_at for one in self.open if one.due_at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Lapse:
    """What came of a level whose time is over."""

    role: str
    then: Literal["deny", "approve", "escalate"]
    to: str | None = None


def begun(demand: Demand, now: datetime) -> Chain:
    """Return the chain of a demand at its beginning; one without levels is a confirmation."""
    levels = demand.levels or (Level(ANYBODY),)
    return _advanced(Chain(tuple(map(LevelState, levels)), demand.order), now)


def level_for(chain: Chain, who: str, *, requester: str, roles: Roles) -> int:
    """Return the index of the open level that somebody may decide in.

    Args:
        chain: of the request.
        who: the person; empty where nobody knows.
        requester: who asked for the call.
        roles: who has which role.

    Raises:
        NotAllowedError: they may decide in none.
    """
    asked = [(at, one) for at, one in enumerate(chain.levels) if one.state == "open"]
    for at, one in asked:
        if one.level.role == ANYBODY:
            return at
    if not who:
        raise NotAllowedError("it is not known who decides. Say it by `by`, or let the server authenticate")
    if is_same_person(who, requester):
        raise NotAllowedError(f"{who} asked for this call, and nobody approves their own request")
    theirs = [(at, one) for at, one in asked if who in roles.get(one.level.role, ())]
    for at, one in theirs:
        if not any(is_same_person(who, agreement.by) for agreement in one.agreed):
            return at
    if theirs:
        raise NotAllowedError(f"{who} has decided already, as {theirs[0][1].level.role}")
    wanted = ", ".join(one.level.role for _, one in asked) or "nobody"
    raise NotAllowedError(f"{who} has none of the roles that are asked now: {wanted}")


def agreed(chain: Chain, index: int, agreement: Agreement, *, now: datetime) -> Chain:
    """Return the chain with one more agreement, and the levels opened that follow from it."""
    one = chain.levels[index]
    return _advanced(_with(chain, index, replace(one, agreed=(*one.agreed, agreement))), now)


def credited(
    chain: Chain, role: str, agreement: Agreement, *, before: Sequence[str] = (), now: datetime
) -> Chain:
    """Return the chain with an agreement in the first level of `role`, be its turn now or later.

    Whoever edits the arguments agrees to what they wrote, before the levels ahead of them have.

    Args:
        chain: at its beginning.
        role: in which they acted.
        agreement: theirs.
        before: the roles that had let their time pass for that level; it stays with the role that it came to.
        now: what time it is.
    """
    for path in ((*before, role), (role,)):
        for at, one in enumerate(chain.levels):
            level = _escalated(one, path)
            if level is not None:
                return agreed(_with(chain, at, level), at, agreement, now=now)
    return chain


def _escalated(one: LevelState, path: Sequence[str]) -> LevelState | None:
    """Return a level as it stands after it was escalated along these roles, or None where it can't be."""
    for role, following in pairwise(path):
        then = one.level.on_expiry
        if one.level.role != role or not isinstance(then, Escalate) or then.role != following:
            return None
        one = _handed_on(one, then)
    return one if one.level.role in {path[-1], ANYBODY} else None


def _handed_on(one: LevelState, then: Escalate) -> LevelState:
    level = replace(one.level, role=then.role, quorum=then.quorum, on_expiry=then.on_expiry)
    return LevelState(level, before=(*one.before, one.level.role))


def lapsed(chain: Chain, now: datetime) -> tuple[Chain, Sequence[Lapse]]:
    """Return the chain after what is overdue was treated by its rule, and what that was.

    A chain with a level that is denied has a level `expired`, and can't be agreed to any more.
    """
    lapses: list[Lapse] = []
    for at, one in enumerate(chain.levels):
        if one.state != "open" or one.due_at is None or one.due_at > now:
            continue
        then = one.level.on_expiry
        if isinstance(then, Escalate):
            lapses.append(Lapse(one.level.role, "escalate", then.role))
            after = _handed_on(one, then)
        else:
            lapses.append(Lapse(one.level.role, then))
            after = replace(one, state="agreed" if then == "approve" else "expired", due_at=None)
        chain = _with(chain, at, after)
    return _advanced(chain, now), lapses


def is_same_person(one: str, other: str) -> bool:
    """Tell whether two names mean the same, whatever their case, width, spaces and unseen characters."""
    return _bare(one) == _bare(other)


def count_people(names: Iterable[str]) -> int:
    """Return how many people these are; two spellings of a name are one, see `is_same_person`."""
    return len({_bare(name) for name in names})


def _bare(name: str) -> str:
    seen = (char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return " ".join("".join(seen).casefold().split())


def unreachable(levels: Iterable[Level], *, requester: str, roles: Roles) -> Level | None:
    """Return a level that can never be agreed to and never expires, because too few others have its role."""
    for level in levels:
        others = (who for who in roles.get(level.role, ()) if not is_same_person(who, requester))
        if level.expires_s is None and count_people(others) < level.quorum:
            return level
    return None


def _advanced(chain: Chain, now: datetime) -> Chain:
    """Close the levels that have their quorum, and open those whose turn it is."""
    for at, one in enumerate(chain.levels):
        if any(level.state == "expired" for level in chain.levels):
            return chain
        state = one
        if state.state == "waiting":
            due = None if one.level.expires_s is None else now + timedelta(seconds=one.level.expires_s)
            state = replace(one, state="open", due_at=due)
        if (
            state.state == "open"
            and count_people(agreement.by for agreement in one.agreed) >= one.level.quorum
        ):
            state = replace(state, state="agreed", due_at=None)
        chain = _with(chain, at, state)
        if chain.order == "sequence" and state.state == "open":
            break
    return chain


def _with(chain: Chain, index: int, one: LevelState) -> Chain:
    return replace(chain, levels=(*chain.levels[:index], one, *chain.levels[index + 1 :]))
