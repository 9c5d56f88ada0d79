import pytest
from langchain_core.messages import ToolCall, ToolMessage
from pydantic import BaseModel

from core.errors import ToolError
from core.state import Source
from tools.contract import Retry, ToolResult, contract
from tools.results import MAX_SOURCES_CHARS, as_result, cut
from tools.runtime import CallScope, ToolRuntime


class Point(BaseModel):
    x: int


async def said(runtime: ToolRuntime, call: ToolCall, *, step: int) -> ToolMessage:
    message = await runtime.call(call, CallScope(step=step, time_limit_s=5))
    assert isinstance(message, ToolMessage)
    return message


def call(name: str, **args: object) -> ToolCall:
    return ToolCall(name=name, args=dict(args), id="c1")


async def test_a_long_result_is_cut_with_a_note() -> None:
    def long() -> str:
        """Say much."""
        return "x" * 1000

    runtime = ToolRuntime([contract(long, effect="read", max_result_chars=10, rest="Say less.")])
    message = await said(runtime, call("long"), step=1)
    assert message.text == "xxxxxxxxxx\n[cut: 990 of 1000 characters left out. Say less.]"


def test_a_result_at_the_limit_is_not_cut() -> None:
    assert cut("abc", 3) == "abc"


async def test_sources_travel_with_the_record() -> None:
    source = Source(source="a.md", section="s", text="t")

    async def find() -> ToolResult:
        """Find something."""
        return ToolResult("found", (source,))

    message = await said(ToolRuntime([contract(find, effect="read")]), call("find"), step=3)
    assert message.artifact["sources"] == [source]
    assert (message.artifact["step"], message.artifact["outcome"]) == (3, "ok")
    assert message.artifact["latency_ms"] >= 0


def test_values_that_are_no_text_become_json() -> None:
    assert as_result({"a": [1]}).text == '{"a": [1]}'
    assert as_result(Point(x=1)).text == '{"x":1}'
    assert as_result(None).text == "null"


async def test_nested_arguments_reach_the_tool_as_models() -> None:
    def take(point: Point) -> int:
        """Take a point."""
        return point.x

    message = await said(ToolRuntime([contract(take, effect="read")]), call("take", point={"x": 7}), step=1)
    assert message.text == "7"


async def test_an_invalid_call_names_the_field_the_value_and_what_is_expected() -> None:
    def take(point: Point) -> int:
        """Take a point."""
        return point.x

    message = await said(
        ToolRuntime([contract(take, effect="read")]), call("take", point={"x": "no"}), step=1
    )
    assert message.status == "error"
    assert "point.x" in message.text
    assert "'no'" in message.text
    assert "Expected:" in message.text


BIG = 1_000_000
ODD_CALLS = [
    call("n" * BIG),
    call("look", **{f"f{number}": 1 for number in range(20_000)}),
    call("look", x=1, **{"k" * BIG: 1}),
    call("look", x="y" * BIG),
    call("look", x=1),
]


@pytest.mark.parametrize("odd", ODD_CALLS, ids=["name", "many fields", "long field", "long value", "error"])
async def test_what_the_model_is_told_of_a_call_that_failed_is_bounded(odd: ToolCall) -> None:
    async def look(x: int) -> str:
        """Look."""
        raise ToolError(f"{x}" * BIG)

    message = await said(ToolRuntime([contract(look, effect="read")]), odd, step=1)
    assert message.status == "error"
    assert len(message.text) < 10_000
    assert len(message.artifact["tool"]) + len(message.artifact["error"]) < 20_000


async def test_the_sources_on_record_are_bounded() -> None:
    source = Source(source="s" * BIG, section="", text="y" * BIG)

    async def find() -> ToolResult:
        """Find something."""
        return ToolResult("found", (source, source))

    message = await said(ToolRuntime([contract(find, effect="read")]), call("find"), step=1)
    (kept,) = message.artifact["sources"]
    assert len(kept["source"]) < 1000 < len(kept["text"]) < 2 * MAX_SOURCES_CHARS


async def test_what_a_tool_does_to_its_arguments_reaches_no_later_attempt() -> None:
    seen: list[list[str]] = []

    async def send(items: list[str]) -> str:
        """Send."""
        seen.append([*items])
        items.append("more")
        if len(seen) == 1:
            raise ConnectionError("lost")
        return "sent"

    one = contract(send, effect="read", retry=Retry(2, 0, 0))
    made = call("send", items=["a"])
    assert (await said(ToolRuntime([one]), made, step=1)).text == "sent"
    assert (seen, made["args"]) == ([["a"], ["a"]], {"items": ["a"]})
