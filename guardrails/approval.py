"""Which calls people have to agree to, and who: pure verdicts over a call's arguments.

A policy that names no levels asks for a confirmation by whoever is at the keyboard. One with levels asks for
a chain: so many people of this role, then so many of that one.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from core.client_errors import named_error
from core.errors import BoringError
from guardrails.hosts import is_outside


class PolicyError(BoringError):
    """A policy raised something instead of giving a verdict."""


Order = Literal["sequence", "parallel"]
"""Whether a level is asked when the one before it has agreed, or all at once."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """Hand a level that ran out of time to another role.

    Attributes:
        role: who is asked instead.
        quorum: how many of them have to agree.
        on_expiry: what happens when their time, which is as long as that of the level, is over too.
    """

    role: str
    quorum: int = 1
    on_expiry: "OnExpiry" = "deny"

    def __post_init__(self) -> None:
        """Refuse what nobody can fulfil."""
        _check(self.role, self.quorum, self.on_expiry)


OnExpiry = Literal["deny", "approve"] | Escalate


@dataclass(frozen=True, slots=True)
class Level:
    """Who has to agree.

    Attributes:
        role: a name in the directory of roles.
        quorum: how many different people of the role, 1 or more.
        expires_s: seconds from when the level is asked; None waits as long as it takes.
        on_expiry: what is done then. `deny` unless the policy says otherwise.
    """

    role: str
    quorum: int = 1
    expires_s: float | None = None
    on_expiry: OnExpiry = "deny"

    def __post_init__(self) -> None:
        """Refuse what nobody can fulfil."""
        _check(self.role, self.quorum, self.on_expiry)
        if self.expires_s is not None and not 0 < self.expires_s < math.inf:
            raise ValueError(f"level {self.role!r}: expires_s is {self.expires_s}, expected more than 0")
        if self.expires_s is None and self.on_expiry != "deny":
            raise ValueError(f"level {self.role!r}: on_expiry is set, but it never expires; set expires_s")

    @property
    def roles(self) -> Mapping[str, int]:
        """The roles that may be asked, with the most people that are needed of each."""
        needed, then = {self.role: self.quorum}, self.on_expiry
        while isinstance(then, Escalate):
            needed[then.role] = max(then.quorum, needed.get(then.role, 0))
            then = then.on_expiry
        return needed


@dataclass(frozen=True, slots=True)
class Demand:
    """What a policy asks for a call.

    Attributes:
        reason: why people have to agree, in a sentence.
        levels: who, in this order; empty for a confirmation by whoever is at the keyboard.
        order: one level after the other, or all at once.
    """

    reason: str
    levels: tuple[Level, ...] = ()
    order: Order = "sequence"


ApprovalPolicy = Callable[[Mapping[str, Any]], str | Demand | None]
"""Takes a call's validated arguments by name; returns why people have to agree, or None."""


@runtime_checkable
class Chained(Protocol):
    """A policy that tells beforehand what it may ask for: it is checked when an agent is built."""

    @property
    def chains(self) -> tuple[tuple[Level, ...], ...]:
        """The chains that it may ask for."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """The arguments that it looks at."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy of one verdict and at most one chain.

    Attributes:
        why: returns a reason, or None.
        levels: who has to agree; None for a confirmation.
        order: of the levels.
        fields: the arguments that it looks at.
    """

    why: Callable[[Mapping[str, Any]], str | None]
    levels: tuple[Level, ...] | None = None
    order: Order = "sequence"
    fields: tuple[str, ...] = ()

    @property
    def chains(self) -> tuple[tuple[Level, ...], ...]:
        """The chain, where there is one."""
        return () if self.levels is None else (self.levels,)

    def __call__(self, arguments: Mapping[str, Any]) -> str | Demand | None:
        """Return what is asked for a call."""
        reason = self.why(arguments)
        return reason if reason is None or self.levels is None else Demand(reason, self.levels, self.order)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A policy that asks for what each of several policies asks for."""

    policies: tuple[ApprovalPolicy, ...]

    @property
    def chains(self) -> tuple[tuple[Level, ...], ...]:
        """All chains of all policies."""
        return tuple(chain for policy in self.policies for chain in chains_of(policy))

    @property
    def fields(self) -> tuple[str, ...]:
        """The arguments that they look at."""
        return tuple(dict.fromkeys(name for policy in self.policies for name in fields_of(policy)))

    def __call__(self, arguments: Mapping[str, Any]) -> Demand | None:
        """Return what is asked: all reasons, and all levels, of which equal ones count once."""
        asked = [one for policy in self.policies if (one := demanded(policy, arguments)) is not None]
        if not asked:
            return None
        levels = dict.fromkeys(level for one in asked for level in one.levels)
        chained = [one for one in asked if one.levels]
        at_once = bool(chained) and all(one.order == "parallel" for one in chained)
        reasons = " ".join(dict.fromkeys(one.reason for one in asked))
        return Demand(reasons, tuple(levels), "parallel" if at_once else "sequence")


def never(arguments: Mapping[str, Any]) -> None:
    """Ask for no call."""
    del arguments


def always(arguments: Mapping[str, Any]) -> str:
    """Ask for every call."""
    del arguments
    return "Every call of this tool needs approval."


def over(
    field: str, limit: float, *, levels: Iterable[Level] | None = None, order: Order = "sequence"
) -> ApprovalPolicy:
    """Return a policy that asks where the argument `field` is over `limit`, or is no number.

    Args:
        field: the argument.
        limit: in its unit.
        levels: who has to agree; None for whoever is at the keyboard.
        order: of the levels.
    """

    def why(arguments: Mapping[str, Any]) -> str | None:
        value = arguments.get(field)
        if isinstance(value, (int, float)) and value <= limit:
            return None
        return f"{field} is {value!r}, over {limit:g}."

    return Rule(why, _chain(levels), order, (field,))


def outside(
    field: str,
    domains: Sequence[str],
    *,
    levels: Iterable[Level] | None = None,
    order: Order = "sequence",
) -> ApprovalPolicy:
    """Return a policy that asks where an address in the argument `field` lies outside `domains`.

    An address is that of an e-mail or of a page, or a host's name; a list is looked at one by one. A host has
    to be named in full: `example.com` stands for no other host. What can't be read is outside.

    Args:
        field: the argument.
        domains: the hosts that need no approval.
        levels: who has to agree; None for whoever is at the keyboard.
        order: of the levels.
    """
    known = frozenset(domain.lower() for domain in domains)

    def why(arguments: Mapping[str, Any]) -> str | None:
        strange = [address for address in _listed(arguments.get(field)) if is_outside(address, known)]
        if not strange:
            return None
        return (
            f"{field} is {', '.join(map(repr, strange))}, outside {', '.join(sorted(known)) or 'any list'}."
        )

    return Rule(why, _chain(levels), order, (field,))


def demanding(
    policy: ApprovalPolicy, *, levels: Iterable[Level], order: Order = "sequence"
) -> ApprovalPolicy:
    """Return a policy that asks these levels where `policy` asks: `demanding(always, levels=...)`."""

    def why(arguments: Mapping[str, Any]) -> str | None:
        asked = demanded(policy, arguments)
        return None if asked is None else asked.reason

    return Rule(why, tuple(levels), order, fields_of(policy))


def any_of(*policies: ApprovalPolicy) -> ApprovalPolicy:
    """Return a policy that asks for what each of `policies` asks for, all of it."""
    return AnyOf(policies)


def demanded(policy: ApprovalPolicy, arguments: Mapping[str, Any]) -> Demand | None:
    """Return what a policy asks for a call with these arguments, or None where it asks for nothing.

    Raises:
        PolicyError: the policy failed, so nobody knows whether the call may be made.
    """
    try:
        verdict = policy(arguments)
    except PolicyError:
        raise
    except Exception as error:
        raise PolicyError(f"its approval policy failed with {named_error(error)}") from error
    return Demand(verdict) if isinstance(verdict, str) else verdict


def chains_of(policy: ApprovalPolicy) -> tuple[tuple[Level, ...], ...]:
    """Return the chains that a policy may ask for, as far as it tells."""
    return policy.chains if isinstance(policy, Chained) else ()


def fields_of(policy: ApprovalPolicy) -> tuple[str, ...]:
    """Return the arguments that a policy looks at, as far as it tells."""
    return policy.fields if isinstance(policy, Chained) else ()


def _chain(levels: Iterable[Level] | None) -> tuple[Level, ...] | None:
    return None if levels is None else tuple(levels)


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]  # pyright: ignore[reportUnknownVariableType]


def _check(role: object, quorum: object, on_expiry: object) -> None:
    if not isinstance(role, str) or not role.strip():
        raise ValueError("a level names no role")
    if not isinstance(quorum, int) or isinstance(quorum, bool) or quorum < 1:
        raise ValueError(f"level {role!r}: quorum is {quorum}, expected 1 or more")
    if not isinstance(on_expiry, Escalate) and on_expiry not in {"deny", "approve"}:
        raise ValueError(f"level {role!r}: on_expiry is {on_expiry!r}, expected deny, approve or Escalate")
