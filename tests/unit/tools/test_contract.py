from typing import Annotated, Any

import pytest
from langchain_core.tools import tool as langchain_tool
from pydantic import Field, ValidationError

from tools.contract import Retry, contract, contracted


def double(number: Annotated[int, Field(ge=0, description="what to double")]) -> int:
    """Double a number."""
    return 2 * number


def test_a_function_becomes_a_tool_with_the_safe_defaults() -> None:
    tool = contracted(double)
    assert (tool.name, tool.description, tool.effect, tool.retry.max_attempts) == (
        "double",
        "Double a number.",
        "unsafe",
        1,
    )
    assert tool.arguments_schema()["properties"]["number"]["description"] == "what to double"


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        contract(double).arguments.model_validate({"number": 1, "other": 2})


async def test_a_synchronous_function_runs_in_a_thread() -> None:
    import threading  # noqa: PLC0415

    def where() -> str:
        """Tell the thread."""
        return threading.current_thread().name

    assert await contract(where).run() != threading.current_thread().name


async def test_a_langchain_tool_is_accepted() -> None:
    @langchain_tool
    def triple(number: int) -> int:
        """Triple a number."""
        return 3 * number

    tool = contract(triple, effect="read")
    assert (tool.name, tool.retry.max_attempts) == ("triple", 3)
    assert await tool.run(number=2) == "6"


def test_a_function_without_a_docstring_is_refused() -> None:
    with pytest.raises(ValueError, match="no docstring"):
        contract(lambda: 1)


def test_arguments_that_a_model_can_not_name_are_refused() -> None:
    def add(*numbers: int, **options: str) -> str:
        """Add numbers."""
        return f"{numbers}{options}"

    with pytest.raises(ValueError, match=r"numbers.*options"):
        contract(add)


def test_retries_of_what_is_no_read_are_refused() -> None:
    with pytest.raises(ValueError, match="could do it twice"):
        contract(double, retry=Retry(max_attempts=2))


@pytest.mark.parametrize("field", ["timeout_s", "max_concurrency", "max_result_chars"])
def test_a_limit_out_of_range_is_refused(field: str) -> None:
    limits: dict[str, Any] = {field: 0}
    with pytest.raises(ValueError, match=field):
        contract(double, **limits)


def test_a_retry_without_an_attempt_is_refused() -> None:
    with pytest.raises(ValueError, match="max_attempts is 0"):
        Retry(max_attempts=0)
