"""A router: who gets a request, how sure it was, what happens when it is unsure or wrong."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.router import Specialist, create_router
from graphs.single import create_agent
from guardrails.routing import Rule
from observability.tracing import current_tracing
from tests.graphs.transcripts import transcript
from tools.declining import decline

CONFIG: Any = {"configurable": {"thread_id": "desk"}}


def asks(text: str) -> Any:
    return {"messages": [("user", text)]}


def decides(*parts: tuple[str, float, str]) -> Reply:
    """Return a decision: specialist, confidence and request of each part."""
    told = [
        {"specialist": name, "confidence": sure, "reason": "it fits", "request": request}
        for name, sure, request in parts
    ]
    return Reply(tool_calls=(ToolCall("Decision", {"parts": told}),))


DECLINES = Reply(tool_calls=(ToolCall("decline", {"reason": "I only read documents."}),))


@pytest.fixture
async def desk(saver: Any, speaking: Any) -> Any:
    """Return a function that makes a desk of the router's and two specialists' lines."""

    async def make(router: Any, documents: Any = (), data: Any = (), **more: Any) -> Any:
        specialists = [
            Specialist(
                "documents", "Reads manuals.", create_agent(llm=await speaking(documents), tools=[decline()])
            ),
            Specialist("data", "Computes.", create_agent(llm=await speaking(data), tools=[decline()])),
        ]
        return create_router(llm=await speaking(router), specialists=specialists, checkpointer=saver, **more)

    return make


async def decisions(process: Process) -> list[tuple[Any, ...]]:
    await (await current_tracing()).flush()
    database = await process.database()
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select choice, confidence, decided_by, candidates from boring.decision where kind = 'route'"
            " order by decided_at, id"
        )
        return [tuple(row.values()) for row in await rows.fetchall()]


async def test_the_specialist_gets_the_request_as_it_was_rewritten_and_its_answer_goes_out(
    desk: Any, process: Process
) -> None:
    agent = await desk([decides(("documents", 0.9, "How long may goods be returned?"))], ["30 days."])
    result = await agent.ainvoke(asks("And how long?"), CONFIG)
    assert transcript(result["messages"]) == (
        "user: And how long?\n"
        "  -> documents request=How long may goods be returned?\n"
        "  documents says: 30 days.\n"
        "agent: 30 days."
    )
    assert await decisions(process) == [("documents", 0.9, "model", ["documents", "data"])]


async def test_two_requests_are_answered_side_by_side_and_joined(desk: Any) -> None:
    both = decides(("documents", 0.9, "The policy?"), ("data", 0.8, "The sum?"))
    agent = await desk([both], ["30 days."], ["42."])
    result = await agent.ainvoke(asks("The policy, and the sum?"), CONFIG)
    assert result["answer"]["text"] == "**The policy?**\n\n30 days.\n\n**The sum?**\n\n42."
    assert [one["agent"] for one in result["answer"]["contributions"]] == ["documents", "data"]


async def test_half_an_answer_says_what_is_missing(desk: Any) -> None:
    both = decides(("documents", 0.9, "The policy?"), ("data", 0.8, "The sum?"))
    agent = await desk([both], ["30 days."], [Reply(status=401)])
    text = (await agent.ainvoke(asks("The policy, and the sum?"), CONFIG))["answer"]["text"]
    assert text.startswith("**The policy?**\n\n30 days.\n\nNot done: The sum? (data, failed: ")


async def test_unsure_asks_the_user_once_and_then_takes_the_best_guess(desk: Any) -> None:
    unsure = decides(("data", 0.3, "that"))
    agent = await desk([unsure, unsure], data=["42."])
    first = await agent.ainvoke(asks("Do that"), CONFIG)
    assert first["answer"]["text"] == (
        "I am not sure who can help you best. Is it one of these, or can you say more?\n"
        "- documents: Reads manuals.\n- data: Computes."
    )
    assert (await agent.ainvoke(asks("Just that"), CONFIG))["answer"]["text"] == "42."


@pytest.mark.parametrize("decision", [("data", 0.3, "that"), ("nobody", 0.9, "that")])
async def test_unsure_goes_to_the_general_specialist_where_it_is_so_configured(
    desk: Any, decision: Any
) -> None:
    agent = await desk([decides(decision)], ["I know."], unsure="general", general="documents")
    result = await agent.ainvoke(asks("Do that"), CONFIG)
    assert result["answer"]["text"] == "I know."


async def test_a_request_for_nobody_is_asked_back_and_then_turned_down(desk: Any) -> None:
    nobody = decides(("nobody", 1.0, "Sing"))
    agent = await desk([nobody, nobody])
    assert "I am not sure" in (await agent.ainvoke(asks("Sing"), CONFIG))["answer"]["text"]
    result = await agent.ainvoke(asks("Sing, I said"), CONFIG)
    assert result["answer"]["status"] == "declined"
    assert "Nobody here" in result["answer"]["text"]


async def test_a_part_for_nobody_is_named_in_the_answer(desk: Any) -> None:
    both = decides(("documents", 0.9, "The policy?"), ("nobody", 0.9, "Sing"))
    agent = await desk([both, both], ["30 days."])
    await agent.ainvoke(asks("The policy, and sing"), CONFIG)
    result = await agent.ainvoke(asks("Both, I said"), CONFIG)
    assert result["answer"]["text"] == "30 days.\n\nNobody here can help with: Sing"


async def test_a_rule_does_not_take_the_answer_to_a_question_back_for_the_request(desk: Any) -> None:
    agent = await desk(
        [decides(("data", 0.1, "x")), decides(("documents", 0.9, "A ticket for the printer"))],
        ["Done."],
        rules=[Rule("data", pattern="ticket")],
    )
    await agent.ainvoke(asks("The printer burns"), CONFIG)
    result = await agent.ainvoke(asks("A ticket, please"), CONFIG)
    assert result["answer"]["text"] == "Done."


async def test_a_specialist_that_declines_is_followed_by_a_second_choice(desk: Any, process: Process) -> None:
    agent = await desk(
        [decides(("documents", 0.9, "Sum it")), decides(("data", 0.7, "Sum it"))], [DECLINES], ["42."]
    )
    result = await agent.ainvoke(asks("Sum it"), CONFIG)
    assert result["answer"]["text"] == "42."
    assert [one[0] for one in await decisions(process)] == ["documents", "data"]


async def test_a_request_that_is_declined_twice_ends_with_the_reason(desk: Any) -> None:
    agent = await desk(
        [decides(("documents", 0.9, "x")), decides(("data", 0.9, "x"))], [DECLINES], [DECLINES, "never"]
    )
    result = await agent.ainvoke(asks("x"), CONFIG)
    assert result["answer"]["status"] == "declined"
    assert result["answer"]["text"] == "Nobody here can help with that: I only read documents."


@pytest.mark.parametrize(
    ("rule", "content"),
    [
        (Rule("data", pattern=r"\bsum\b"), "The SUM of all, please"),
        (Rule("data", language="de"), "Wie hoch ist die Summe aller Bestellungen im letzten Monat?"),
        (
            Rule("data", attachment="text/*"),
            [
                {"type": "text", "text": "This"},
                {"type": "file", "mime_type": "text/csv", "base64": "YQ==", "filename": "a.csv"},
            ],
        ),
    ],
)
async def test_a_rule_decides_before_any_model_is_asked(
    desk: Any, process: Process, rule: Rule, content: Any
) -> None:
    agent = await desk([], data=["42."], rules=[rule])
    result = await agent.ainvoke({"messages": [HumanMessage(content)]}, CONFIG)
    assert result["answer"]["text"] == "42."
    assert [one[:3] for one in await decisions(process)] == [("data", 1.0, "rule")]


async def test_a_decision_that_can_not_be_read_is_repaired_or_ends_with_a_reason(desk: Any) -> None:
    agent = await desk([Reply(text="documents, I think")] * 3)
    result = await agent.ainvoke(asks("x"), CONFIG)
    assert result["answer"]["status"] == "failed"
    assert "Decision" in result["answer"]["text"]


async def test_what_is_attached_reaches_the_specialist(saver: Any, speaking: Any) -> None:
    llm = await speaking(["A cat."])
    looks = Specialist("looks", "Looks at pictures.", create_agent(llm=llm))
    router = create_router(
        llm=await speaking([]),
        specialists=[looks],
        rules=[Rule("looks", attachment="image/*")],
        checkpointer=saver,
    )
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    asked: Any = {"messages": [HumanMessage([{"type": "text", "text": "What is it?"}, picture])]}
    assert (await router.ainvoke(asked, CONFIG))["answer"]["text"] == "A cat."
    sent = llm.metadata["scripted"].requests[0]["messages"][-1]["content"]
    assert [block["type"] for block in sent] == ["text", "image_url"]


async def test_a_specialist_may_be_any_graph_and_answers_by_its_last_message(
    saver: Any, speaking: Any
) -> None:
    async def shout(state: MessagesState) -> Any:
        return {"messages": [AIMessage(state["messages"][-1].text.upper())]}

    async def mute(state: MessagesState) -> Any:
        del state
        return {}

    def graph(node: Any) -> Any:
        builder = StateGraph(MessagesState)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        builder.add_edge("node", END)
        return builder.compile()

    router = create_router(
        llm=await speaking([]),
        specialists=[
            Specialist("shout", "Shouts.", graph(shout)),
            Specialist("mute", "Is mute.", graph(mute)),
        ],
        rules=[Rule("shout", pattern="louder"), Rule("mute", pattern="quiet")],
        checkpointer=saver,
    )
    assert (await router.ainvoke(asks("louder"), CONFIG))["answer"]["text"] == "LOUDER"
    assert (await router.ainvoke(asks("quiet"), CONFIG))["answer"]["status"] == "failed"
