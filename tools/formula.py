"""Formulas of numbers and units: read by a parser of our own, and worked out exactly where that is bounded.

Numbers are fractions, so nothing is rounded on the way. What would grow over `MAX_BITS`, and what has no
exact value, such as a root, goes on as a decimal of 50 digits.
"""

import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

from core.errors import ToolError

DIGITS = 50
MAX_EXPONENT = 10_000
MAX_BITS = 13_000
"""Of a numerator or denominator: somewhat less than 4,000 digits, which Python still prints."""
MAX_NESTING = 50
MAX_DECIMALS = 30
_MAX_UNIT_POWER = 12
_FEWEST_DIGITS = 12
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+(?!\w))?)"
    r"|(?P<name>[^\W\d_]\w*)|(?P<sign>\*\*|//|[-+*/%()])|(?P<other>\S))"
)

Number = Fraction | Decimal
Units = Callable[[str], Any]
"""Returns one of the unit that a name stands for, as a quantity of pint; raises `ToolError`."""

_SUMS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub}
_PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


class FormError(Exception):
    """The text is no formula."""


def no_units(name: str) -> Any:
    """Refuse every name."""
    raise ToolError(
        "Only numbers, units such as km or degC, + - * / // % ** and parentheses can be computed; "
        f"{name!r} is none of these."
    )


def evaluate(text: str, units: Units = no_units) -> Any:
    """Return the value of a formula: a `Number`, or a quantity of pint where units are left.

    `*` may be left out before a unit, which then binds more tightly than `/`: `100 km / 2 h`. A `%` with no
    number after it is a hundredth.

    Raises:
        FormError: the text is no formula.
        ToolError: it holds something that can't be computed.
        ArithmeticError: it has no value, or one out of range.
    """
    with localcontext(Context(prec=DIGITS, Emax=MAX_EXPONENT, Emin=-MAX_EXPONENT)):
        return _Reader(text, units).whole()


def plain(value: Number) -> str:
    """Return a number as text: exact where its decimals end, else to 12 decimals or 12 digits.

    Raises:
        ArithmeticError: it is not finite.
    """
    if isinstance(value, Fraction):
        if value.denominator == 1:
            return str(value.numerator)
        if exact := _ending(value):
            return exact
    with localcontext(Context(prec=DIGITS, Emax=MAX_EXPONENT, Emin=-MAX_EXPONENT)):
        return _rounded(_decimal(value))


class _Reader:
    """Reads a formula from left to right and works it out on the way; one method for each precedence."""

    def __init__(self, text: str, units: Units) -> None:
        self._tokens = [
            (str(found.lastgroup), found[found.lastgroup or 0]) for found in _TOKEN.finditer(text)
        ]
        self._tokens.append(("end", ""))
        self._units = units
        self._depth = 0

    def whole(self) -> Any:
        if other := next((text for kind, text in self._tokens if kind == "other"), None):
            no_units(other)
        value = self._sum()
        if self._tokens[0][0] != "end":
            raise FormError
        return value

    def _take(self, *signs: str) -> str | None:
        kind, text = self._tokens[0]
        return self._tokens.pop(0)[1] if kind == "sign" and text in signs else None

    def _sum(self) -> Any:
        value = self._product()
        while sign := self._take(*_SUMS):
            value = _worked_out(_SUMS[sign], value, self._product())
        return value

    def _product(self) -> Any:
        value = self._measure()
        while sign := self._take(*_PRODUCTS):
            if sign == "/" and isinstance(value, Number):  # 1/2 cup is half a cup
                value = self._with_units(_worked_out(operator.truediv, value, self._signed()))
            else:
                value = _worked_out(_PRODUCTS[sign], value, self._measure())
        return value

    def _measure(self) -> Any:
        return self._with_units(self._signed())

    def _with_units(self, value: Any) -> Any:
        while self._tokens[0][0] == "name":
            value = _measured(value, self._signed())
        return value

    def _signed(self) -> Any:
        self._deeper()
        if sign := self._take("+", "-"):
            value = -self._signed() if sign == "-" else self._signed()
        else:
            value = self._percent()
            if self._take("**"):
                value = _power(value, self._signed())
        self._depth -= 1
        return value

    def _percent(self) -> Any:
        value = self._atom()
        while self._tokens[0] == ("sign", "%") and not self._is_number_next():
            self._take("%")
            value = _worked_out(operator.truediv, value, Fraction(100))
        return value

    def _is_number_next(self) -> bool:
        return self._tokens[1][0] == "number" or self._tokens[1] == ("sign", "(")

    def _atom(self) -> Any:
        if self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise FormError
            return value
        kind, text = self._tokens.pop(0) if self._tokens[0][0] in {"number", "name"} else ("", "")
        if kind == "number":
            return _number(text)
        if kind == "name":
            return self._units(text)
        raise FormError

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise OverflowError("nested too deeply")


def _number(text: str) -> Number:
    value = Decimal(text)
    return Fraction(value) if abs(value.adjusted()) < MAX_BITS // 4 else +value


def _worked_out(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if isinstance(left, Decimal) and isinstance(right, Fraction):
        right = _decimal(right)
    elif isinstance(left, Fraction) and isinstance(right, Decimal):
        left = _decimal(left)
    return _bounded(operation(left, right))


def _measured(value: Any, unit: Any) -> Any:
    # Made, not multiplied: 20 times one degree Celsius is not 20 degrees Celsius.
    if isinstance(value, Number) and unit.magnitude == 1:
        return type(unit)(value, unit.units)
    return _worked_out(operator.mul, value, unit)


def _power(base: Any, exponent: Any) -> Any:
    if not isinstance(exponent, Number):
        if not exponent.dimensionless:
            raise ToolError("An exponent has to be a number without a unit.")
        exponent = exponent.to("").magnitude
    whole = isinstance(exponent, Fraction) and exponent.denominator == 1
    if not isinstance(base, Number):
        if not whole or abs(exponent) > _MAX_UNIT_POWER:
            raise ToolError(f"A quantity with a unit is raised to whole powers up to {_MAX_UNIT_POWER} only.")
        return _bounded(base ** int(exponent))
    if isinstance(base, Fraction) and whole and _bits(base) * abs(exponent) <= MAX_BITS:
        return base ** int(exponent)
    return _decimal(base) ** _decimal(exponent)


def _bounded(value: Any) -> Any:
    """Return a value that is small enough to go on with, and a fraction where it is a whole number.

    Raises:
        OverflowError: a quantity with a unit is too large.
    """
    if isinstance(value, Decimal):
        return value
    if isinstance(value, (Fraction, int)):
        exact = Fraction(value)
        return exact if _bits(exact) <= MAX_BITS else _decimal(exact)
    exact = Fraction(value.magnitude)
    if _bits(exact) > MAX_BITS:
        raise OverflowError("out of range")
    return type(value)(exact, value.units)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _decimal(value: Number) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return Decimal(value.numerator) / Decimal(value.denominator)


def _ending(value: Fraction) -> str | None:
    """Return all decimals of a fraction, or None where they do not end soon."""
    for count in range(1, MAX_DECIMALS + 1):
        shifted = value * 10**count
        if shifted.denominator == 1:
            digits = str(abs(shifted.numerator)).rjust(count + 1, "0")
            return f"{'-' if value < 0 else ''}{digits[:-count]}.{digits[-count:]}"
    return None


def _rounded(value: Decimal) -> str:
    if not value.is_finite():
        raise OverflowError("not finite")
    if abs(value) < Decimal(1).scaleb(DIGITS - 20):
        to_decimals = value.quantize(Decimal(1).scaleb(-_FEWEST_DIGITS))
        short = Context(prec=_FEWEST_DIGITS).plus(value)
        value = to_decimals if abs(value) >= 1 or to_decimals == value or not value else short
    text = f"{value.normalize():f}" if abs(value.adjusted()) < DIGITS else str(value.normalize())
    return "0" if text in {"-0", ""} else text
