"""The tool that computes, by a parser of its own: nothing is ever evaluated as code."""

import ast
import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, DecimalException, localcontext
from typing import Annotated

from pydantic import Field

from core.errors import ToolError
from core.protocols import Example
from tools.contract import Tool, contract

DIGITS = 50
MAX_EXPONENT = 10_000
_BINARY: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Decimal], Decimal]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


async def calculator(
    expression: Annotated[
        str,
        Field(
            min_length=1,
            max_length=120,
            pattern=r"^[0-9+*/()., %^-]{1,120}$",
            description="Numbers with + - * / // % ** and parentheses; 15% means 15/100",
        ),
    ],
) -> str:
    """Work out a number: sums, products, divisions, percentages, powers, totals, averages, conversions."""
    return compute(expression)


def compute(expression: str) -> str:
    """Return the value of an arithmetic expression as decimal text, to 50 significant digits.

    Raises:
        ToolError: the expression can't be read, divides by zero, or is out of range.
    """
    no_value = f"{expression!r} has no value: division by zero, or a number out of range."
    try:
        tree = ast.parse(_python_form(expression), mode="eval")
        with localcontext(Context(prec=DIGITS, Emax=MAX_EXPONENT, Emin=-MAX_EXPONENT)):
            value = _value(tree.body)
            if not value.is_finite():
                raise ToolError(no_value)
            return _plain(value)
    except SyntaxError as error:
        raise ToolError(
            f"{expression!r} is not an arithmetic expression. Write it like (3 + 4) * 2.5."
        ) from error
    except (DecimalException, RecursionError, MemoryError) as error:
        raise ToolError(no_value) from error


def _python_form(expression: str) -> str:
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", expression.strip().replace("^", "**"))
    return re.sub(r"([0-9.)])\s*%(?!\s*[0-9(.])", r"\1/100", text)


def _value(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=bool() | complex()):
            pass
        case ast.Constant(value=int() | float() as number):
            return Decimal(str(number))
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand))
        case _:
            pass
    raise ToolError("Only numbers, + - * / // % ** and parentheses can be computed.")


def _plain(value: Decimal) -> str:
    rounded = +value.quantize(Decimal(1).scaleb(-12)) if abs(value) < 10**30 else value
    text = f"{rounded.normalize():f}" if abs(rounded.adjusted()) < DIGITS else str(rounded.normalize())
    return "0" if text in {"-0", ""} else text


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
