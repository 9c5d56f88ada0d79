"""The single agent, from its question to its answer, on a scripted model behind real HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from core.context import RunContext
from core.errors import TransientError
from core.protocols import Model, ModelProfile
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from memory.runs import latest_run
from tools.calculator import arithmetic
from tools.contract import ONCE, contract

CONFIG: Any = {"configurable": {"thread_id": "t"}}


def asks(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


async def rows(process: Any, statement: Any) -> list[dict[str, Any]]:
    async with (await process.database()).pool.connection() as connection:
        return await (await connection.execute(statement)).fetchall()


async def test_an_answer_without_tools_comes_back_with_its_tokens(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(text="Hello!", prompt_tokens=11, completion_tokens=2)])
    result = await create_agent(llm=llm, checkpointer=saver).ainvoke(asks("Hi"), CONFIG, context=RunContext())
    assert result["answer"] == {"text": "Hello!", "status": "answered", "sources": []}
    assert (result["turn"]["input_tokens"], result["turn"]["output_tokens"]) == (11, 2)


async def test_a_graph_runs_without_a_checkpointer_and_without_a_context(speaking: Any) -> None:
    llm = await speaking(["Hello!"])
    result = await create_agent(llm=llm).ainvoke(asks("Hi"))
    assert result["answer"]["status"] == "answered"


async def test_calls_of_one_plan_run_side_by_side_and_are_logged(
    process: Any, saver: Any, speaking: Any
) -> None:
    together = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        """Wait for the other call."""
        await together.wait()
        return f"{name} was there"

    calls = (ToolCall("meet", {"name": "a"}), ToolCall("meet", {"name": "b"}))
    llm = await speaking([Reply(tool_calls=calls), "Both were there."])
    agent = create_agent(llm=llm, tools=[contract(meet, effect="read")], checkpointer=saver)
    result = await agent.ainvoke(asks("Meet"), CONFIG, context=RunContext())
    assert result["answer"]["text"] == "Both were there."
    logged = await rows(
        process, "select tool, arguments, outcome, result, attempt from boring.tool_call order by result"
    )
    assert [(row["tool"], row["outcome"], row["result"], row["attempt"]) for row in logged] == [
        ("meet", "ok", "a was there", 1),
        ("meet", "ok", "b was there", 1),
    ]
    assert logged[0]["arguments"] == {"name": "a"}


@pytest.mark.parametrize(
    ("call", "outcome", "told"),
    [
        (ToolCall("nope", {}), "unknown_tool", "There is no tool 'nope'. The tools are: calculator."),
        (
            ToolCall("calculator", {"expression": "import os"}),
            "invalid",
            "expression: String should match pattern",
        ),
        (ToolCall("calculator", {}), "invalid", "expression: Field required"),
        (
            ToolCall("calculator", {"expression": "1", "extra": 2}),
            "invalid",
            "extra: Extra inputs are not permitted",
        ),
        (ToolCall("calculator", "{not json"), "invalid", "are not JSON: {not json"),
        (ToolCall("calculator", {"expression": "1/0"}), "error", "division by zero"),
    ],
)
async def test_a_bad_call_becomes_an_observation_the_model_can_repair(
    process: Any, saver: Any, speaking: Any, call: ToolCall, outcome: str, told: str
) -> None:
    llm = await speaking([Reply(tool_calls=(call,)), "I could not."])
    agent = create_agent(llm=llm, tools=[arithmetic()], checkpointer=saver)
    result = await agent.ainvoke(asks("Go"), CONFIG, context=RunContext())
    assert told in result["messages"][-2].text
    assert result["answer"]["status"] == "answered"
    assert told in llm.metadata["scripted"].requests[-1]["messages"][-1]["content"]
    logged = await rows(process, "select outcome, error from boring.tool_call")
    assert [row["outcome"] for row in logged] == [outcome]
    assert told in logged[0]["error"]


async def test_a_repeated_call_ends_the_loop_with_a_reason(saver: Any, speaking: Any) -> None:
    again = Reply(tool_calls=(ToolCall("calculator", {"expression": "1+1"}),))
    llm = await speaking([again] * 10)
    agent = create_agent(llm=llm, tools=[arithmetic()], checkpointer=saver)
    result = await agent.ainvoke(asks("Loop"), CONFIG, context=RunContext())
    assert result["answer"]["status"] == "repeated"
    assert "calculator 3 times" in result["answer"]["text"]
    assert len(llm.metadata["scripted"].requests) == 3


@pytest.mark.parametrize(
    ("context", "status"),
    [
        (RunContext(max_steps=2), "step_limit"),
        (RunContext(max_tokens=50), "budget"),
        (RunContext(max_time_s=0.000001), "deadline"),
    ],
)
async def test_a_limit_ends_the_run_in_respond_with_a_reason(
    process: Any, saver: Any, speaking: Any, context: RunContext, status: str
) -> None:
    script = [
        Reply(
            tool_calls=(ToolCall("calculator", {"expression": f"1+{n}"}),),
            prompt_tokens=20,
            completion_tokens=10,
        )
        for n in range(9)
    ]
    llm = await speaking(script)
    agent = create_agent(llm=llm, tools=[arithmetic()], checkpointer=saver)
    result = await agent.ainvoke(asks("Count"), CONFIG, context=context)
    assert result["answer"]["status"] == status
    assert result["answer"]["text"].startswith("I stopped")
    row = await latest_run(await process.database(), "t")
    assert row is not None
    assert (row.status, row.reason) == ("stopped", status)
    assert row.finished_at is not None


async def test_a_slow_model_is_stopped_at_the_deadline(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(text="late", delay_s=30)])
    agent = create_agent(llm=llm, checkpointer=saver)
    result = await agent.ainvoke(asks("Hi"), CONFIG, context=RunContext(max_time_s=0.3))
    assert result["answer"]["status"] == "deadline"


async def test_a_slow_tool_is_stopped_and_the_model_is_told(process: Any, saver: Any, speaking: Any) -> None:
    async def sleep() -> str:
        """Sleep for long."""
        await asyncio.sleep(30)
        return "done"

    llm = await speaking([Reply(tool_calls=(ToolCall("sleep"),)), "It took too long."])
    tool = contract(sleep, effect="read", retry=ONCE, timeout_s=0.05)
    agent = create_agent(llm=llm, tools=[tool], checkpointer=saver)
    result = await agent.ainvoke(asks("Sleep"), CONFIG, context=RunContext())
    assert result["messages"][-2].text == "sleep gave no result within 0.05 s."
    assert (await rows(process, "select outcome from boring.tool_call"))[0]["outcome"] == "timeout"


@pytest.mark.parametrize(("effect", "attempts"), [("read", 3), ("idempotent", 3)])
async def test_what_can_be_repeated_is_retried(
    process: Any, saver: Any, speaking: Any, effect: Any, attempts: int
) -> None:
    made: list[int] = []

    async def flaky() -> str:
        """Fail transiently."""
        made.append(1)
        raise TransientError("try again")

    llm = await speaking([Reply(tool_calls=(ToolCall("flaky"),)), "It failed."])
    agent = create_agent(llm=llm, tools=[contract(flaky, effect=effect)], checkpointer=saver)
    await agent.ainvoke(asks("Go"), CONFIG, context=RunContext())
    assert len(made) == attempts
    assert (await rows(process, "select attempt from boring.tool_call"))[0]["attempt"] == attempts


async def test_a_failing_call_does_not_harm_its_sibling(saver: Any, speaking: Any) -> None:
    async def broken() -> str:
        """Break."""
        raise KeyError("oops")

    calls = (ToolCall("broken"), ToolCall("calculator", {"expression": "2*3"}))
    llm = await speaking([Reply(tool_calls=calls), "6, but one tool is broken."])
    agent = create_agent(llm=llm, tools=[broken, arithmetic()], checkpointer=saver)
    result = await agent.ainvoke(asks("Go"), CONFIG, context=RunContext())
    texts = sorted(message.text for message in result["messages"] if message.type == "tool")
    told = "broken failed: KeyError: 'oops' Whether it had its effect before it failed is not known."
    assert texts == ["6", told]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Reply(status=401), "refused the key"),
        (Reply(status=404), "does not know this model"),
        (Reply(status=400), "HTTP 400"),
    ],
)
async def test_a_refusing_model_ends_the_run_with_a_reason(
    process: Any, saver: Any, speaking: Any, failure: Reply, told: str
) -> None:
    llm = await speaking([failure])
    result = await create_agent(llm=llm, checkpointer=saver).ainvoke(asks("Hi"), CONFIG, context=RunContext())
    assert result["answer"]["status"] == "failed"
    assert told in result["answer"]["text"]
    row = await latest_run(await process.database(), "t")
    assert row is not None
    assert row.status == "failed"


async def test_a_model_that_fails_for_a_moment_is_asked_again(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(status=503), Reply(status=429), "Here I am."])
    result = await create_agent(llm=llm, checkpointer=saver).ainvoke(asks("Hi"), CONFIG, context=RunContext())
    assert result["answer"]["text"] == "Here I am."


async def test_a_model_server_that_was_replaced_is_found_at_its_new_address(
    process: Any, saver: Any, speaking: Any
) -> None:
    gone = ChatOpenAI(
        base_url="http://127.0.0.1:9/v1", api_key=SecretStr("x"), model="scripted", max_retries=0
    )
    chats = iter([gone, await speaking(["Here I am."])])

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Model]:
        yield Model(profile=ModelProfile(name="scripted"), chat=next(chats))

    async def source() -> Model:
        return await process.once("model", opened)

    agent = create_agent(llm=source, checkpointer=saver)
    result = await agent.ainvoke(asks("Hi"), CONFIG, context=RunContext())
    assert result["answer"]["text"] == "Here I am."


async def test_a_model_that_stays_down_ends_the_run(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(status=503)] * 3)
    result = await create_agent(llm=llm, checkpointer=saver).ainvoke(asks("Hi"), CONFIG, context=RunContext())
    assert result["answer"]["status"] == "failed"
    assert "HTTP 503" in result["answer"]["text"]


@pytest.mark.parametrize(("question", "told"), [("  ", "empty"), ("x" * 1_000_000, "1,000,000 characters")])
async def test_a_question_that_can_not_be_worked_on_is_refused(
    saver: Any, speaking: Any, question: str, told: str
) -> None:
    llm = await speaking([])
    result = await create_agent(llm=llm, checkpointer=saver).ainvoke(
        asks(question), CONFIG, context=RunContext()
    )
    assert result["answer"]["status"] == "refused"
    assert told in result["answer"]["text"]
    assert llm.metadata["scripted"].requests == []


async def test_a_second_turn_knows_the_first_and_has_limits_of_its_own(saver: Any, speaking: Any) -> None:
    llm = await speaking(["I am Bo.", "You asked for my name."])
    agent = create_agent(llm=llm, checkpointer=saver)
    first = await agent.ainvoke(asks("Your name?"), CONFIG, context=RunContext(max_steps=1))
    second = await agent.ainvoke(asks("What did I ask?"), CONFIG, context=RunContext(max_steps=1))
    assert first["turn"]["run_id"] != second["turn"]["run_id"]
    assert second["answer"]["status"] == "answered"
    said = [message["content"] for message in llm.metadata["scripted"].requests[-1]["messages"]]
    assert said[1:] == ["Your name?", "I am Bo.", "What did I ask?"]


async def test_a_message_of_content_blocks_is_read(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Yes."])
    message = HumanMessage([{"type": "text", "text": "Do you read blocks?"}])
    result = await create_agent(llm=llm, checkpointer=saver).ainvoke(
        {"messages": [message]}, CONFIG, context=RunContext()
    )
    assert result["turn"]["question"] == "Do you read blocks?"


async def test_tokens_steps_and_tool_progress_are_streamed(saver: Any, speaking: Any) -> None:
    llm = await speaking(
        [Reply(tool_calls=(ToolCall("calculator", {"expression": "6*7"}),)), "The answer is 42."]
    )
    agent = create_agent(llm=llm, tools=[arithmetic()], checkpointer=saver)
    seen: dict[str, list[Any]] = {"updates": [], "messages": [], "custom": []}
    async for mode, data in agent.astream(
        asks("6*7?"), CONFIG, context=RunContext(), stream_mode=["updates", "messages", "custom"]
    ):
        seen[mode].append(data)
    assert [name for update in seen["updates"] for name in update] == [
        "receive",
        "plan",
        "execute",
        "observe",
        "plan",
        "respond",
    ]
    tokens = [chunk.text for chunk, _ in seen["messages"] if chunk.type == "AIMessageChunk" and chunk.text]
    assert "".join(tokens) == "The answer is 42."
    assert len(tokens) > 1
    assert seen["custom"] == [{"progress": "calculator is running"}]


def test_the_drawing_shows_the_five_steps_and_nothing_else() -> None:
    drawn = create_agent().get_graph()
    assert set(drawn.nodes) == {"__start__", "receive", "plan", "execute", "observe", "respond", "__end__"}


def test_an_agent_that_may_have_to_ask_a_person_shows_where() -> None:
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    drawn = create_agent(tools=[pay]).get_graph()
    assert "review" in drawn.nodes


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="share the names"):
        create_agent(tools=[arithmetic(), arithmetic()])
