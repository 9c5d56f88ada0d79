"""What a supervisor is told of teams that ask back, and of graphs that are not ours."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from core.context import RunContext
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.router import Specialist, create_router
from graphs.single import create_agent

CONFIG: Any = {"configurable": {"thread_id": "office"}}
ASKED: Any = {"messages": [("user", "Do it")]}


def tasks(*named: tuple[str, str], **more: Any) -> Reply:
    """Return a plan that hands tasks to teams, by the team's and the task's name."""
    return Reply(
        tool_calls=tuple(ToolCall(team, {"task": name, "goal": "go", **more}) for team, name in named)
    )


def foreign(node: Callable[..., Any]) -> Any:
    """Return a compiled graph that is not ours, of one node."""
    builder: Any = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile()


def says(text: str, tokens_in: int, tokens_out: int, name: str | None = None) -> AIMessage:
    usage: Any = {
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    return AIMessage(text, id=name, usage_metadata=usage)


@pytest.fixture
async def led(saver: Any, speaking: Any) -> Any:
    """Return a function that lets a supervisor with these lines lead one team, and returns the result."""

    async def run(graph: Any, lines: Sequence[Any], **limits: Any) -> Any:
        agent = create_hierarchy(
            llm=await speaking(lines), teams=[Team("ext", "External.", graph)], checkpointer=saver
        )
        return await agent.ainvoke(ASKED, CONFIG, context=RunContext(**limits))

    return run


@pytest.fixture
async def desk(speaking: Any) -> Any:
    """Return a function that makes a router of two specialists that say nothing."""

    async def make(*confidences: float, answer: Sequence[Any] = ()) -> Any:
        part = {"specialist": "a", "reason": "r", "request": "go"}
        lines = [Reply(text=json.dumps({"parts": [{**part, "confidence": sure}]})) for sure in confidences]
        specialists = [
            Specialist("a", "Does A.", create_agent(llm=await speaking(answer))),
            Specialist("b", "Does B.", create_agent(llm=await speaking([]))),
        ]
        return create_router(llm=await speaking(lines), specialists=specialists)

    return make


async def test_a_team_that_asks_back_is_not_taken_to_have_reported(led: Any, desk: Any) -> None:
    result = await led(await desk(0.3), [tasks(("ext", "t")), "Which of the two do you want?"])
    told = next(one for one in result["messages"] if one.type == "tool")
    assert told.status == "error"
    assert told.text.startswith(
        "ext asks a question before it can go on: I am not sure who can help you best."
    )
    assert "in a new task, whole in itself, or ask the user." in told.text
    [contribution] = result["answer"]["contributions"]
    assert contribution["status"] == "asked_back"
    assert contribution["text"].startswith("I am not sure who can help you best.")
    assert "Not done: t (ext, asked_back: I am not sure" in result["answer"]["text"]


async def test_a_question_that_a_router_passes_on_is_no_report_either(
    led: Any, desk: Any, speaking: Any, saver: Any
) -> None:
    part = {"specialist": "desk", "reason": "r", "request": "go", "confidence": 0.9}
    lines = [Reply(text=json.dumps({"parts": [part]}))] * 2
    inner = Specialist("desk", "Finds who.", await desk(0.3, 0.3))
    outer = create_router(llm=await speaking(lines), specialists=[inner])
    result = await led(outer, [tasks(("ext", "t")), "Which?"])
    assert [one["status"] for one in result["answer"]["contributions"]] == ["asked_back"]
    alone = create_router(llm=await speaking(lines), specialists=[inner], checkpointer=saver)
    text = (await alone.ainvoke(ASKED, {"configurable": {"thread_id": "alone"}}))["answer"]["text"]
    assert text.endswith("- a: Does A.\n- b: Does B.")


async def test_a_team_that_asked_back_and_then_reports_has_done_its_task(led: Any, desk: Any) -> None:
    router = await desk(0.3, 0.9, answer=["42."])
    result = await led(router, [tasks(("ext", "t")), tasks(("ext", "t"), inputs="I mean A"), "It is 42."])
    assert result["answer"]["text"] == "It is 42."
    assert [one["status"] for one in result["answer"]["contributions"]] == ["answered"]


async def test_a_task_after_a_team_that_asks_back_is_not_begun_with_its_question(led: Any, desk: Any) -> None:
    plan = Reply(
        tool_calls=(
            ToolCall("ext", {"task": "find", "goal": "go"}),
            ToolCall("ext", {"task": "pay", "goal": "go", "after": ["find"]}),
        )
    )
    result = await led(await desk(0.3), [plan, "Which?"])
    assert "It comes after ['find'], which failed." in result["messages"][-2].text


async def test_the_tokens_that_a_foreign_graph_tells_of_are_charged(led: Any) -> None:
    async def work(state: MessagesState) -> Any:
        del state
        call = {"name": "look", "args": {}, "id": "c1"}
        first = says("", 1000, 10, "one").model_copy(update={"tool_calls": [call]})
        return {"messages": [first, AIMessage("No usage."), says("Done.", 2000, 20, "two")]}

    result = await led(foreign(work), [tasks(("ext", "t")), "Fin."])
    told = next(one for one in result["messages"] if one.type == "tool").artifact["handed_on"]
    assert (told["input_tokens"], told["output_tokens"]) == (3000, 30)
    assert result["turn"]["input_tokens"] >= 3000


async def test_a_message_that_a_foreign_graph_returns_twice_is_charged_once(led: Any) -> None:
    async def work(state: dict[str, Any]) -> Any:
        one = says("Done.", 500, 5)
        return {"messages": [*state["messages"], one, one]}

    state: Any = dict
    builder: Any = StateGraph(state)
    builder.add_node("node", work)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    result = await led(builder.compile(), [tasks(("ext", "t")), "Fin."])
    told = next(one for one in result["messages"] if one.type == "tool").artifact["handed_on"]
    assert (told["input_tokens"], told["output_tokens"]) == (500, 5)


async def test_a_foreign_graph_around_a_hierarchy_is_charged_for_its_teams(led: Any, speaking: Any) -> None:
    team = Team("deep", "Deep.", create_agent(llm=await speaking([Reply(text="4.", prompt_tokens=700)])))
    inner = create_hierarchy(llm=await speaking([tasks(("deep", "d")), "It is 4."]), teams=[team])
    builder: Any = StateGraph(MessagesState)
    builder.add_node("agent", inner)
    builder.add_edge(START, "agent")
    builder.add_edge("agent", END)
    result = await led(builder.compile(), [tasks(("ext", "t")), "Fin."])
    told = next(one for one in result["messages"] if one.type == "tool").artifact["handed_on"]
    assert told["input_tokens"] >= 700


async def test_a_budget_ends_where_a_foreign_graph_has_used_it(led: Any) -> None:
    async def work(state: MessagesState) -> Any:
        del state
        return {"messages": [says("Done.", 5000, 0)]}

    result = await led(foreign(work), [tasks(("ext", "t")), "never said"], max_tokens=3000)
    assert result["answer"]["status"] == "budget"


@pytest.mark.parametrize(
    "error", [ConnectionError("the ledger is gone"), TimeoutError("the ledger is slow"), KeyError("ledger")]
)
async def test_the_failure_of_a_foreign_graph_is_told_as_its_own(led: Any, error: Exception) -> None:
    async def work(state: MessagesState) -> Any:
        del state
        raise error

    result = await led(foreign(work), [tasks(("ext", "t")), "Fin."])
    told = next(one for one in result["messages"] if one.type == "tool").text
    assert told.startswith(f"ext failed: {type(error).__name__}: ")
    assert str(error) in told
    assert "model" not in told
