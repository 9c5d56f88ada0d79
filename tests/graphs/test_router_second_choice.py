"""What a specialist gets that is asked second, and parts of a request that share their words."""

from typing import Any

import pytest

from evals.scripted_model import Reply, ToolCall
from graphs.router import Specialist, create_router
from graphs.single import create_agent
from tools.declining import decline

CONFIG: Any = {"configurable": {"thread_id": "desk"}}
DECLINES = Reply(tool_calls=(ToolCall("decline", {"reason": "not mine"}),))


def decides(*parts: tuple[str, str]) -> Reply:
    told = [
        {"specialist": name, "confidence": 0.9, "reason": "it fits", "request": request}
        for name, request in parts
    ]
    return Reply(tool_calls=(ToolCall("Decision", {"parts": told}),))


@pytest.fixture
async def desk(saver: Any, speaking: Any) -> Any:
    """Return a function that makes a desk of lines, and returns what its second specialist reads."""

    async def make(router: Any, first: Any = (), second: Any = ()) -> tuple[Any, Any]:
        last = await speaking(second)
        specialists = [
            Specialist("a", "A.", create_agent(llm=await speaking(first), tools=[decline()])),
            Specialist("b", "B.", create_agent(llm=last)),
        ]
        graph = create_router(llm=await speaking(router), specialists=specialists, checkpointer=saver)
        return graph, last.metadata["scripted"].requests

    return make


async def asked(graph: Any, *questions: str) -> str:
    result: Any = None
    for question in questions:
        result = await graph.ainvoke({"messages": [("user", question)]}, CONFIG)
    return result["answer"]["text"]


async def test_two_parts_of_the_same_words_are_both_answered(desk: Any) -> None:
    graph, _ = await desk([decides(("a", "Fix and count it"), ("b", "Fix and count it"))], ["Fixed."], ["5."])
    answer = await asked(graph, "Fix and count it")
    assert answer == "**Fix and count it**\n\nFixed.\n\n**Fix and count it**\n\n5."


async def test_a_part_for_nobody_with_the_words_of_another_is_named(desk: Any) -> None:
    lines = [decides(("nobody", "Fly me")), decides(("a", "Fix it"), ("nobody", "Fix it"))]
    graph, _ = await desk(lines, ["Fixed."])
    answer = await asked(graph, "Fly me", "Fix it")  # what answers a question of the router is not asked back
    assert answer == "Fixed.\n\nNobody here can help with: Fix it"


async def test_the_second_choice_gets_a_follow_up_with_what_was_said(desk: Any) -> None:
    router = [
        decides(("a", "May I return a desk?")),
        decides(("a", "and a chair")),
        decides(("b", "And a chair?")),
    ]
    graph, read = await desk(router, ["Yes.", DECLINES], ["You may."])
    assert await asked(graph, "May I return a desk?", "And a chair?") == "You may."
    assert read[0]["messages"][-1]["content"] == (
        "Earlier in this conversation:\nUser: May I return a desk?\nAssistant: Yes.\n\n"
        "The last message: And a chair?"
    )


async def test_a_second_choice_that_repeats_what_it_read_hands_on_the_request_alone(desk: Any) -> None:
    read_back = "How much is it?\n(a is not for this: not mine Choose another one.)"
    graph, read = await desk(
        [decides(("a", "How much is it?")), decides(("b", read_back))], [DECLINES], ["5 EUR."]
    )
    assert await asked(graph, "How much is it?") == "5 EUR."
    assert read[0]["messages"][-1]["content"] == "How much is it?"


async def test_one_answer_has_no_title_though_the_second_choice_was_given_other_words(desk: Any) -> None:
    router = [decides(("a", "How much is it?")), decides(("b", "How much is the desk?"))]
    graph, _ = await desk(router, [DECLINES], ["5 EUR."])
    assert await asked(graph, "How much is it?") == "5 EUR."


async def test_a_request_may_be_rewritten_in_another_language(desk: Any) -> None:
    graph, read = await desk([decides(("b", "How much is the red desk?"))], [], ["5 EUR."])
    await asked(graph, "Wieviel kostet der rote Schreibtisch?")
    assert read[0]["messages"][-1]["content"] == "How much is the red desk?"


async def test_titles_leave_out_what_was_said_before(desk: Any) -> None:
    router = [decides(("a", "A desk?")), decides(("a", "And a chair?"), ("b", "Who pays?"))]
    graph, read = await desk(router, ["Yes.", "Yes too."], ["You."])
    assert await asked(graph, "A desk?", "And a chair? Who pays?") == (
        "**And a chair?**\n\nYes too.\n\n**Who pays?**\n\nYou."
    )
    assert read[0]["messages"][-1]["content"].endswith("Assistant: Yes.\n\nThe last message: Who pays?")
