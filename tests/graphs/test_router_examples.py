"""A router on a model that learns by examples: what it is shown, and what becomes of a follow-up."""

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from core.protocols import Model, ModelProfile
from evals.scripted_model import Reply, ToolCall
from graphs.router import Specialist, create_router
from graphs.single import create_agent

CONFIG: Any = {"configurable": {"thread_id": "desk"}}


def decided(*parts: tuple[str, str]) -> str:
    return json.dumps(
        {
            "parts": [
                {"specialist": name, "confidence": 0.9, "reason": "it fits", "request": request}
                for name, request in parts
            ]
        }
    )


def parts_of(message: Any) -> list[tuple[str, str]]:
    return [(one["specialist"], one["request"]) for one in json.loads(message["content"])["parts"]]


@pytest.fixture
async def desk(saver: Any, speaking: Any) -> Any:
    """Return a function that makes a desk whose router plans by a schema, and the models behind it."""

    async def make(router: Any, rules: Any = (), orders: Any = ()) -> tuple[Any, Any, Any]:
        llm, readers = await speaking(router), await speaking(rules)
        profile = ModelProfile(name="scripted", plans_by="schema", context_tokens=6000, max_tokens=200)

        async def source() -> Model:
            return Model(profile=profile, chat=llm)

        specialists = [
            Specialist(
                "rules", "Knows rules. All of them.", create_agent(llm=readers), examples=["R1?", "R2?"]
            ),
            Specialist(
                "orders", "Counts.", create_agent(llm=await speaking(orders)), examples=["O1?", "O2?", "O3?"]
            ),
        ]
        graph = create_router(llm=source, specialists=specialists, checkpointer=saver)
        return graph, llm.metadata["scripted"], readers.metadata["scripted"]

    return make


async def test_the_examples_are_turns_of_a_chat_in_the_form_of_the_answer(desk: Any) -> None:
    graph, router, _ = await desk([decided(("rules", "May I?"))], ["Yes."])
    result = await graph.ainvoke({"messages": [HumanMessage("May I?")]}, CONFIG)
    assert result["answer"]["text"] == "Yes."
    system, *turns, asked = router.requests[0]["messages"]
    shown = [
        (
            question["content"],
            parts_of(shot),
        )
        for question, shot in zip(turns[::2], turns[1::2], strict=True)
    ]
    assert (system["role"], asked["content"]) == ("system", "May I?")
    assert shown == [
        ("R1?", [("rules", "R1?")]),
        ("O1?", [("orders", "O1?")]),
        ("R2? And also: O2?", [("rules", "R2?"), ("orders", "O2?")]),
        ("R2?", [("rules", "R2?")]),
        ("O2?", [("orders", "O2?")]),
        ("O3?", [("orders", "O3?")]),
    ]
    assert json.loads(turns[1]["content"])["parts"][0]["reason"] == "Knows rules"


async def test_a_follow_up_that_was_not_rewritten_goes_with_what_was_said(
    desk: Any,
) -> None:
    script = [decided(("rules", "May I return a desk?")), decided(("rules", "and a chair?"))]
    graph, router, readers = await desk(script, ["Yes, for 30 days.", "It may."])
    for question in ("May I return a desk?", "And a chair?"):
        await graph.ainvoke({"messages": [HumanMessage(question)]}, CONFIG)
    told = (
        "Earlier in this conversation:\nUser: May I return a desk?\nAssistant: Yes, for 30 days.\n\n"
        "The last message: And a chair?"
    )
    assert router.requests[1]["messages"][-1]["content"] == told
    assert readers.requests[1]["messages"][-1]["content"] == told


async def test_a_model_that_calls_something_in_place_of_deciding_ends_the_turn_with_a_reason(
    saver: Any, speaking: Any
) -> None:
    llm = await speaking([Reply(tool_calls=(ToolCall("rules", {"request": "May I?"}),))])
    specialists = [Specialist("rules", "Knows the rules.", create_agent(llm=await speaking([])))]
    graph = create_router(llm=llm, specialists=specialists, checkpointer=saver)
    result = await graph.ainvoke({"messages": [HumanMessage("May I?")]}, CONFIG)
    assert result["answer"]["status"] == "failed"
    assert "the model called 'rules' in place of deciding" in result["answer"]["text"]
