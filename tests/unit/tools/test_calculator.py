import pytest

from core.errors import ToolError
from tools.calculator import compute


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
