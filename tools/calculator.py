"""The tool that computes, by a parser of its own: nothing is ever evaluated as code."""

import re
from decimal import DecimalException
from typing import Annotated

from pydantic import Field

from core.errors import ToolError
from core.protocols import Example
from tools.contract import Tool, contract
from tools.formula import FormError, evaluate, plain
from tools.units import measured, units_loaded


async def calculator(
    expression: Annotated[
        str,
        Field(
            min_length=1,
            max_length=120,
            # It begins with a number, so that a sentence is no expression.
            pattern=r"^[+(. -]{0,20}[0-9][0-9A-Za-z°µ_+*/()., %^-]{0,99}$",
            description="Numbers with + - * / // % ** and parentheses; 15% means 15/100. Units: 3 km to mile",
        ),
    ],
) -> str:
    """Work out a number: sums, products, divisions, percentages, powers, totals, averages, conversions."""
    if any(char.isalpha() for char in expression):
        await units_loaded()
        return compute(expression, with_units=True)
    return compute(expression)


def compute(expression: str, *, with_units: bool = False) -> str:
    """Return the value of an arithmetic expression as decimal text.

    Exact where its decimals end, whole numbers up to 3,900 digits; otherwise to 12 decimals.

    Args:
        expression: as a person writes it, with `^` for powers and commas between thousands.
        with_units: whether names of units may stand in it; `units_loaded` comes first.

    Raises:
        ToolError: the expression can't be read, divides by zero, or is out of range.
    """
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", expression.strip().replace("^", "**"))
    try:
        return measured(text) if with_units else plain(evaluate(text))
    except FormError as error:
        raise ToolError(
            f"{expression!r} is not an arithmetic expression. Write it like (3 + 4) * 2.5 or 3 km to mile."
        ) from error
    except (ArithmeticError, DecimalException) as error:
        raise ToolError(
            f"{expression!r} has no value: division by zero, or a number out of range."
        ) from error


def arithmetic() -> Tool:
    """Return the tool `calculator`."""
    return contract(
        calculator,
        effect="read",
        timeout_s=5,
        examples=(
            Example("What's (19 + 5) times 3?", {"expression": "(19 + 5) * 3"}),
            Example("A 90 dollar dinner plus 15% tip, how much is it?", {"expression": "90 * 1.15"}),
            Example("How many hours are in 3 weeks?", {"expression": "3 * 7 * 24"}),
        ),
    )
