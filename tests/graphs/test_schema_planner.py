"""The planner for models that can't be trusted to call tools, on a scripted model behind real HTTP."""

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import HumanMessage

from core.context import RunContext
from core.protocols import Model, ModelProfile
from evals.scripted_model import Line
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from tools.calculator import arithmetic
from tools.clock import clock
from tools.contract import contract

CONFIG: Any = {"configurable": {"thread_id": "t"}}


def picks(tool: str, **arguments: Any) -> str:
    return json.dumps({"call": {"tool": tool, **arguments}})


async def asked(
    speaking: Any, saver: Any, script: Sequence[Line], *questions: str, rounds: int = 1
) -> tuple[Any, Any]:
    llm = await speaking(script)
    profile = ModelProfile(
        name="scripted", plans_by="schema", context_tokens=6000, max_tokens=200, tool_rounds=rounds
    )

    async def source() -> Model:
        return Model(profile=profile, chat=llm)

    agent = create_agent(llm=source, tools=[arithmetic(), clock()], checkpointer=saver)
    result: Any = None
    for question in questions:
        result = await agent.ainvoke({"messages": [HumanMessage(question)]}, CONFIG, context=RunContext())
    return result, llm.metadata["scripted"]


async def test_a_picked_tool_runs_and_the_answer_is_written_from_its_result(
    saver: Any, speaking: Any
) -> None:
    script = [picks("calculator", expression="6*7"), "It is 42."]
    result, model = await asked(speaking, saver, script, "What is 6*7?")
    assert result["answer"]["text"] == "It is 42."
    assert [message.type for message in result["messages"]] == ["human", "ai", "tool", "ai"]
    assert model.requests[0]["response_format"]["json_schema"]["schema"]["required"] == ["call"]
    assert model.requests[1]["messages"][-2] | {"tool_call_id": ""} == {
        "role": "tool",
        "content": "42",
        "tool_call_id": "",
    }
    used = result["turn"]["input_tokens"]
    assert used > 0


async def test_small_talk_takes_no_tool(saver: Any, speaking: Any) -> None:
    result, model = await asked(speaking, saver, [picks("answer"), "Hello!"], "Hi")
    assert result["answer"]["text"] == "Hello!"
    assert len(model.requests) == 2


async def test_a_failed_call_is_repaired(saver: Any, speaking: Any) -> None:
    script = [picks("calculator", expression="1/0"), picks("calculator", expression="1/2"), "Half."]
    result, model = await asked(speaking, saver, script, "Half of one?")
    assert result["answer"]["text"] == "Half."
    assert "division by zero" in model.requests[1]["messages"][-1]["content"]


async def test_a_model_that_writes_no_plan_is_asked_again_and_then_given_up(
    saver: Any, speaking: Any
) -> None:
    result, _ = await asked(speaking, saver, ["no json", picks("answer"), "Hello!"], "Hi")
    assert result["answer"]["text"] == "Hello!"
    result, _ = await asked(speaking, saver, ["no json"] * 3, "Hi")
    assert result["answer"]["status"] == "failed"
    assert "not a plan" in result["answer"]["text"]


async def test_the_second_turn_is_planned_with_the_first_in_view(saver: Any, speaking: Any) -> None:
    script = [picks("answer"), "I am Bo.", picks("answer"), "You asked my name."]
    _, model = await asked(speaking, saver, script, "Your name?", "What did I ask?")
    last = model.requests[2]["messages"][-1]["content"]
    assert "User: Your name?\nAssistant: I am Bo." in last
    assert last.endswith("The last message: What did I ask?")


async def test_every_plan_begins_with_the_same_messages(saver: Any, speaking: Any) -> None:
    script = [picks("answer"), "Hello!", picks("answer"), "Bye!"]
    _, model = await asked(speaking, saver, script, "Hi", "Bye")
    first, second = model.requests[0]["messages"], model.requests[2]["messages"]
    assert first[:-1] == second[:-1]
    assert len(first) > 10


async def test_a_supervisor_hands_out_two_tasks_at_once_and_answers_with_both_reports(
    saver: Any, speaking: Any
) -> None:
    script = [
        json.dumps(
            {
                "calls": [
                    {"tool": "rules", "task": "days", "goal": "How many days?"},
                    {"tool": "orders", "task": "count", "goal": "How many orders?"},
                ]
            }
        ),
    ]
    llm = await speaking(script)
    profile = ModelProfile(
        name="scripted", plans_by="schema", context_tokens=6000, max_tokens=200, tool_rounds=1
    )

    async def source() -> Model:
        return Model(profile=profile, chat=llm)

    teams = [
        Team(
            "rules", "Knows rules.", create_agent(llm=await speaking(["30 days."])), examples=["R1?", "R2?"]
        ),
        Team("orders", "Counts.", create_agent(llm=await speaking(["5 orders."])), examples=["O1?", "O2?"]),
    ]
    office = create_hierarchy(llm=source, teams=teams, checkpointer=saver)
    result = await office.ainvoke({"messages": [HumanMessage("How many days, and how many orders?")]}, CONFIG)
    assert result["answer"]["text"] == "- rules: 30 days.\n- orders: 5 orders."
    assert [one["task"] for one in result["answer"]["contributions"]] == ["days", "count"]
    [plan] = llm.metadata["scripted"].requests
    assert plan["response_format"]["json_schema"]["schema"]["required"] == ["calls"]


async def test_what_was_done_is_told_in_the_words_of_the_tool(saver: Any, speaking: Any) -> None:
    def pay(amount: int) -> str:
        """Pay an amount."""
        return f"Payment 7: {amount} EUR."

    llm = await speaking([picks("pay", amount=5)])
    profile = ModelProfile(
        name="scripted", plans_by="schema", context_tokens=6000, max_tokens=200, tool_rounds=1
    )

    async def source() -> Model:
        return Model(profile=profile, chat=llm)

    agent = create_agent(llm=source, tools=[contract(pay)], checkpointer=saver)
    asked_for: Any = {"messages": [HumanMessage("Pay 5 and 6")]}
    result = await agent.ainvoke(asked_for, CONFIG)
    assert (result["answer"]["text"], result["answer"]["status"]) == ("Payment 7: 5 EUR.", "answered")
