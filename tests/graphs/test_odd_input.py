"""What no database can store, no schema foresees and no endpoint takes does not crash a run."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolCallId
from langchain_core.tools import tool as langchain_tool
from pydantic import BaseModel

from core.context import RunContext
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from tools.calculator import arithmetic
from tools.contract import contract

CONFIG: Any = {"configurable": {"thread_id": "t"}}


async def asked(llm: Any, saver: Any, question: str = "Go", tools: Any = (), **limits: Any) -> Any:
    agent = create_agent(llm=llm, tools=tools, checkpointer=saver)
    given: Any = {"messages": [HumanMessage(question)]}
    return await agent.ainvoke(given, CONFIG, context=RunContext(**limits))


@pytest.mark.parametrize(
    "arguments",
    ['{"expression": "1\\u0000"}', '{"expression": "\\ud800"}', '{"expression": NaN}', "\x00", "[1]"],
)
async def test_arguments_that_can_not_be_stored_are_an_observation(
    saver: Any, speaking: Any, arguments: str
) -> None:
    llm = await speaking([Reply(tool_calls=(ToolCall("calculator", arguments),))] + ["Sorry."] * 3)
    result = await asked(llm, saver, tools=[arithmetic()])
    assert result["answer"]["text"] == "Sorry."


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_a_result_that_can_not_be_stored_is_marked(saver: Any, speaking: Any, text: str) -> None:
    def odd() -> str:
        """Return odd text."""
        return text

    llm = await speaking([Reply(tool_calls=(ToolCall("odd"),)), "Fine."])
    result = await asked(llm, saver, tools=[odd])
    assert result["messages"][-2].text in {"a\ufffdb", "a?b"}
    assert result["answer"]["text"] == "Fine."


async def test_a_question_with_a_nul_is_answered(saver: Any, speaking: Any) -> None:
    assert (await asked(await speaking(["Yes."]), saver, "a\0b"))["answer"]["text"] == "Yes."


class Panic(BaseException):
    """As libraries in Rust raise one: no Exception, and its text can't be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


ENDS = [
    SystemExit(3),
    asyncio.CancelledError(),
    StopIteration(),
    StopAsyncIteration(),
    GeneratorExit(),
    Panic(),
    BaseExceptionGroup("several", [Panic(), SystemExit(1), ValueError("x")]),
]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_tool_can_not_end_the_process_or_the_run(
    saver: Any, speaking: Any, error: BaseException, *, is_async: bool
) -> None:
    def ends() -> str:
        """End it all."""
        raise error

    async def ends_async() -> str:
        """End it all."""
        raise error

    tool = ends_async if is_async else ends
    llm = await speaking([Reply(tool_calls=(ToolCall(tool.__name__),)), "Still here."])
    result = await asked(llm, saver, tools=[tool])
    assert result["answer"]["text"] == "Still here."
    assert result["messages"][-2].status == "error"


class Unspeakable:
    def __str__(self) -> str:
        raise LookupError("no text")


async def test_a_result_with_a_text_that_can_not_be_read_is_an_observation(saver: Any, speaking: Any) -> None:
    def odd() -> list[Unspeakable]:
        """Return what nobody can read."""
        return [Unspeakable()]

    llm = await speaking([Reply(tool_calls=(ToolCall("odd"),)), "Fine."])
    result = await asked(llm, saver, tools=[odd])
    assert (
        result["messages"][-2].text == "odd was carried out; its result can't be read: LookupError: no text"
    )


async def test_a_call_whose_approval_policy_fails_is_not_made(saver: Any, speaking: Any) -> None:
    made: list[int] = []

    async def pay(amount: int) -> str:
        """Pay."""
        made.append(amount)
        return "paid"

    def fails(arguments: Mapping[str, Any]) -> str:
        raise KeyError(f"limit of {len(arguments)}")

    llm = await speaking([Reply(tool_calls=(ToolCall("pay", {"amount": 5}),)), "Sorry."])
    result = await asked(llm, saver, tools=[contract(pay, approval=fails)])
    assert result["messages"][-2].text == (
        "This call of pay was not made: its approval policy failed with KeyError: 'limit of 1'."
    )
    assert (result["messages"][-2].artifact["outcome"], made) == ("rejected", [])


async def test_a_langchain_tool_gets_what_langchain_injects(saver: Any, speaking: Any) -> None:
    @langchain_tool(response_format="content_and_artifact")
    def who(
        name: str, config: RunnableConfig, tool_call_id: Annotated[str, InjectedToolCallId]
    ) -> tuple[str, dict[str, int]]:
        """Tell who."""
        assert config is not None
        assert tool_call_id
        return f"I am {name}", {"artifact": 1}

    llm = await speaking([Reply(tool_calls=(ToolCall("who", {"name": "Bo"}),)), "Bo."])
    result = await asked(llm, saver, tools=[who])
    assert result["messages"][-2].text == "I am Bo"


async def test_a_thread_with_a_call_that_was_cut_off_can_be_asked_again(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Here again."])
    agent = create_agent(llm=llm, checkpointer=saver)
    call: Any = {"name": "x", "args": {}, "id": "c1", "type": "tool_call"}
    given: Any = {"messages": [HumanMessage("Go"), AIMessage("", tool_calls=[call])]}
    await agent.aupdate_state(CONFIG, given)
    result = await asked(llm, saver, "And now?")
    assert result["answer"]["text"] == "Here again."
    assert "cut off" in llm.metadata["scripted"].requests[-1]["messages"][3]["content"]


async def test_fields_named_like_parts_of_a_schema_are_kept() -> None:
    from nodes.plan_schema import plan_schema  # noqa: PLC0415

    class Book(BaseModel):
        title: str
        default: int = 1

    def add(book: Book, properties: str = "") -> str:
        """Add a book."""
        return f"{book}{properties}"

    schema = plan_schema([contract(add)])
    assert set(schema["$defs"]["add.Book"]["properties"]) == {"title", "default"}
    assert "properties" in schema["properties"]["call"]["anyOf"][0]["properties"]


@pytest.mark.parametrize(
    "limits", [{"max_steps": "3"}, {"max_tokens": None}, {"max_time_s": float("inf")}, {"max_time_s": -1}]
)
def test_a_limit_that_is_none_is_refused(limits: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        RunContext(**limits)


@pytest.mark.parametrize("deep", [300, 500, 2000])
async def test_arguments_that_are_nested_too_deep_end_no_run(saver: Any, speaking: Any, deep: int) -> None:
    def look(far: Any = None) -> str:
        """Look."""
        return "nothing" if "nested too deep" in str(far) else str(far)

    arguments = '{"far": ' + '{"a": ' * deep + "1" + "}" * deep + "}"
    llm = await speaking([Reply(tool_calls=(ToolCall("look", arguments),)), "Done."])
    result = await asked(llm, saver, tools=[look])
    assert result["answer"]["text"] == "Done."
    assert result["messages"][-2].text.startswith(("nothing", "The arguments"))
