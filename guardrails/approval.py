"""Which calls a person has to agree to: pure verdicts over a call's arguments."""

from collections.abc import Callable, Mapping
from typing import Any

ApprovalPolicy = Callable[[Mapping[str, Any]], str | None]
"""Takes a call's validated arguments by name; returns why a person has to agree, or None."""


def never(arguments: Mapping[str, Any]) -> None:
    """Ask for no call."""
    del arguments


def always(arguments: Mapping[str, Any]) -> str:
    """Ask for every call."""
    del arguments
    return "Every call of this tool needs approval."


def over(field: str, limit: float) -> ApprovalPolicy:
    """Return a policy that asks where the argument `field` is over `limit`, or is no number."""

    def verdict(arguments: Mapping[str, Any]) -> str | None:
        value = arguments.get(field)
        if isinstance(value, (int, float)) and value <= limit:
            return None
        return f"{field} is {value!r}, over {limit:g}."

    return verdict
