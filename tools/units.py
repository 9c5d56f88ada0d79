"""Units of measurement for the calculator: their names, and values in other units. By pint, on fractions."""

import asyncio
import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.errors import ToolError
from core.loading import load
from tools.formula import Number, evaluate, no_units, plain

if TYPE_CHECKING:
    from pint import UnitRegistry

# The last `to`, so that `5 in to cm` converts inches, and `2 in + 3 in` converts nothing.
_CONVERSION = re.compile(r"^(?P<value>.*\S)\s+(?:to|in|into|as)\s+(?P<target>[^\W\d_][^+]*)$", re.DOTALL)
_WORDS = (
    (re.compile(r"°\s*(?=[CF]\b)"), "deg"),
    (re.compile(r"\bper\b"), "/"),
    (re.compile(r"\bof\b"), "*"),
    (re.compile(r"\b(?:square|sq)\s+([^\W\d_]\w*)"), r"\1**2"),
    (re.compile(r"\bcubic\s+([^\W\d_]\w*)"), r"\1**3"),
)


async def units_loaded() -> None:
    """Load the names of all units, in a thread, so that `measured` waits for nothing."""
    await load("pint")
    await asyncio.to_thread(_registry)


def measured(text: str) -> str:
    """Return the value of a formula with units as text, in the unit after `to` where there is one.

    Raises:
        FormError: the text is no formula.
        ToolError: a unit is unknown, or does not fit.
        ArithmeticError: it has no value, or one out of range.
    """
    from pint import DimensionalityError, PintError  # noqa: PLC0415 - large, and loaded by now

    for pattern, instead in _WORDS:
        text = pattern.sub(instead, text)
    found = _CONVERSION.match(text)
    try:
        value = evaluate(found["value"] if found else text, _unit)
        return _shown(_converted(value, evaluate(found["target"], _unit)) if found else _without_parts(value))
    except DimensionalityError as error:
        one, other = _units_text(error.units1), _units_text(error.units2)
        raise ToolError(f"The units do not fit: {one} and {other} measure different things.") from error
    except (PintError, TypeError) as error:
        raise ToolError(
            "These units can't be computed with. Differences of temperatures are delta_degC or delta_degF."
        ) from error


@lru_cache(maxsize=1)
def _registry() -> "UnitRegistry[Any]":
    from pint import UnitRegistry  # noqa: PLC0415 - as above

    exact: Any = Fraction  # which pint takes, though its signature does not say so
    return UnitRegistry(non_int_type=exact)


def _unit(name: str) -> Any:
    registry = _registry()
    for spelling in (name, name.lower()):
        try:
            return registry.Quantity(Fraction(1), spelling)
        except (AttributeError, ValueError):
            continue  # pint's error for an unknown unit is an AttributeError; `nan` is a ValueError
    return no_units(name)


def _converted(value: Any, target: Any) -> Any:
    if isinstance(target, Number) or target.magnitude != 1:
        raise ToolError("After `to` there has to be a unit alone, such as km or m/s.")
    quantity = _registry().Quantity(value, "") if isinstance(value, Number) else value
    return quantity.to(target.units)


def _without_parts(value: Any) -> Any:
    """Return a plain number where all units cancel, such as kilometres by metres."""
    if isinstance(value, Number) or not value.dimensionless or "radian" in str(value.to_base_units().units):
        return value
    return value.to("").magnitude


def _shown(value: Any) -> str:
    if isinstance(value, Number):
        return plain(value)
    return f"{plain(value.magnitude)} {_units_text(dict(value.unit_items()))}"


def _units_text(units: Any) -> str:
    if not isinstance(units, Mapping):
        return "a number without a unit" if str(units) == "dimensionless" else str(units)
    powers: Mapping[str, Any] = units
    above = [_power_text(name, power) for name, power in powers.items() if power > 0]
    below = [_power_text(name, -power) for name, power in powers.items() if power < 0]
    return " / ".join([" * ".join(above) or "1", *below])


def _power_text(name: str, power: Any) -> str:
    return name if power == 1 else f"{name}**{power}"
