import re
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import ToolError
from tools.calculator import arithmetic, calculator, compute
from tools.formula import evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("17 * 23", "391"),
        ("(19 + 5) * 3", "72"),
        ("0.1 + 0.2", "0.3"),
        ("2340 * 17%", "397.8"),
        ("15% * 80", "12"),
        ("(10 + 5)%", "0.15"),
        ("17 % 5", "2"),
        ("2 ^ 10", "1024"),
        ("2 ** 100", "1267650600228229401496703205376"),
        ("1,234,567 + 1", "1234568"),
        ("7 // 2", "3"),
        ("1 / 4", "0.25"),
        ("1 / 3", "0.333333333333"),
        ("-5 + +3", "-2"),
        ("0 * -1", "0"),
        ("100000000000000000000 + 1", "100000000000000000001"),
    ],
)
def test_an_expression_has_its_exact_value(expression: str, value: str) -> None:
    assert compute(expression) == value


@pytest.mark.parametrize("expression", ["1/0", "9 ** 9 ** 9 ** 9", "0 ** -1"])
def test_what_has_no_value_is_said_so(expression: str) -> None:
    with pytest.raises(ToolError, match="has no value"):
        compute(expression)


@pytest.mark.parametrize("expression", ["1 +", "((1)", "1 2", ""])
def test_what_is_no_expression_is_said_so(expression: str) -> None:
    with pytest.raises(ToolError, match="not an arithmetic expression"):
        compute(expression)


@pytest.mark.parametrize(
    "expression", ["__import__('os')", "x", "True + 1", "1j * 2", "[1]", "1 if 2 else 3"]
)
def test_nothing_but_arithmetic_is_evaluated(expression: str) -> None:
    with pytest.raises(ToolError, match="Only numbers"):
        compute(expression)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.1 ** 20", "0.00000000000000000001"),
        ("1 / 3 * 3", "1"),
        ("3 ** 200 - 3 ** 200 + 1", "1"),
        ("7 ** 300 % 1000", str(7**300 % 1000)),
        ("-7 // 2", "-4"),
        ("2 ** -3", "0.125"),
        ("2 ** 0.5", "1.414213562373"),
        ("10 ** 5000", "1E+5000"),
        ("1 / 3 / 10 ** 15", "0.000000000000000333333333333"),
        ("-2 ** 2", "-4"),
        ("2 ** 3 ** 2", "512"),
        ("100 / 15%", "666.666666666667"),
    ],
)
def test_nothing_is_rounded_on_the_way(expression: str, value: str) -> None:
    assert compute(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["9**9**9", "9**9**9**9", "1e999999999", "2**1e9", "99999**99999**9 * 0", "(9**999)**(9**999)"],
)
def test_no_number_is_too_large_to_be_refused_at_once(expression: str) -> None:
    with pytest.raises(ToolError, match="has no value"):
        compute(expression)


@pytest.mark.parametrize("expression", ["(" * 2000 + "1" + ")" * 2000, "-" * 5000 + "1", "2**" * 5000 + "1"])
def test_deep_nesting_is_refused(expression: str) -> None:
    with pytest.raises(ToolError, match="has no value"):
        compute(expression)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3 km + 200 m in miles", "1.988387815159 mile"),
        ("20 degC to degF", "68 degree_Fahrenheit"),
        ("-40 °C to °F", "-40 degree_Fahrenheit"),
        ("5 in to cm", "12.7 centimeter"),
        ("2 in + 3 in", "5 inch"),
        ("100 km / 2 h", "50 kilometer / hour"),
        ("60 miles per hour to km/h", "96.56064 kilometer / hour"),
        ("5 kg m / s^2 to N", "5 newton"),
        ("1/2 cup to ml", "118.29411825 milliliter"),
        ("3 square km to m^2", "3000000 meter**2"),
        ("3 km / 20 m", "150"),
        ("7 km // 2 km", "3"),
        ("1,500 kWh * 0.3", "450 kilowatt_hour"),
        ("15% of 80", "12"),
        ("180 degrees to radian", "3.14159265359 radian"),
        ("1 GiB to MB", "1073.741824 megabyte"),
        ("3 WEEKS to hours", "504 hour"),
    ],
)
async def test_a_quantity_has_its_exact_value_and_unit(expression: str, value: str) -> None:
    assert await calculator(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("3 km to s", "kilometer and second measure different things"),
        ("3 m to m**2", r"meter and meter\*\*2 measure different things"),
        ("3 km + 2", "a number without a unit"),
        ("20 degC + 5 degC", "delta_degC"),
        ("3 blorps to km", "'blorps' is none of these"),
        ("3 nan", "'nan' is none of these"),
        ("9**9**9 km", "has no value"),
        ("(1 km)**99", "whole powers up to 12"),
        ("2 ** (3 km)", "exponent"),
        ("3 km 2 m", "not an arithmetic expression"),
        ("3 km / 0", "has no value"),
        ("2 km * 2 ** 0.5", "can't be computed with"),
    ],
)
async def test_units_that_do_not_fit_are_said_so(expression: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        await calculator(expression)


def test_a_sentence_is_no_expression() -> None:
    for text in ("import os", "three plus four", "__import__('os')", "km"):
        with pytest.raises(ValidationError):
            arithmetic().arguments.model_validate({"expression": text})


def test_units_cost_nothing_until_they_are_used() -> None:
    code = "import sys, asyncio\nfrom tools.calculator import calculator\nasyncio.run(calculator('6 * 7'))\n"
    subprocess.run([sys.executable, "-c", f"{code}assert 'pint' not in sys.modules"], check=True)


NUMBERS = st.fractions(max_denominator=1).map(lambda n: str(abs(n)))
DECIMALS = st.decimals(0, 10**6, places=3).map(lambda d: f"{d:f}")


def formulas(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner)
    return parts.map(lambda part: f"({part[0]} {part[1]} ({part[2]}))") | inner.map(lambda text: f"-({text})")


@given(st.recursive(NUMBERS | DECIMALS, formulas, max_leaves=12))
def test_every_formula_is_worked_out_as_python_does_with_fractions(formula: str) -> None:
    by_python = re.sub(r"\d+(\.\d+)?", lambda number: f"Fraction('{number[0]}')", formula)
    try:
        expected = eval(by_python, {"Fraction": Fraction})  # noqa: S307 - a formula made above
    except ZeroDivisionError:
        with pytest.raises(ToolError, match="has no value"):
            compute(formula)
        return
    assert evaluate(formula) == expected


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-*/%(). eEkmin°^_,to", max_size=40))
async def test_whatever_is_asked_is_answered_or_refused_in_words(text: str) -> None:
    with suppress(ToolError):
        assert await calculator(text)
