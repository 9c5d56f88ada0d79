"""What a run leaves in the table of spans."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.errors import GraphDrained
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import RunControl
from langgraph.types import Command
from opentelemetry.sdk.trace import TracerProvider

from core.context import RunContext
from core.process import Process, current_process
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from guardrails.approval import always
from memory.runs import latest_run
from observability.run_search import runs_found
from observability.trace_log import WantedRuns
from observability.tracing import current_tracing
from tests.graphs.approvals import Shop, config, pays
from tools.contract import Retry, contract

ADA = RunContext(user="ada", tenant="acme")
ASKED: Any = {"messages": [("user", "6 times 7?")]}
APPROVE = {"decisions": [{"type": "approve"}], "by": "ann"}


async def spans() -> list[dict[str, Any]]:
    """Return all spans, the first to begin first, each with the name of the one above it."""
    await (await current_tracing()).flush()
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select span.*, above.name as above from boring.span left join boring.span above"
            " on above.span_id = span.parent_id order by span.started_at"
        )
        return await rows.fetchall()


def tree(rows: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(row["name"], row["above"]) for row in rows]


async def multiply(a: int, b: int) -> str:
    """Multiply two numbers."""
    return str(a * b)


async def test_a_run_is_a_tree_of_its_steps_its_model_calls_and_its_tool_calls(
    saver: Any, speaking: Any
) -> None:
    llm = await speaking([Reply(tool_calls=(ToolCall("multiply", {"a": 6, "b": 7}),)), "It is 42."])
    agent = create_agent(llm=llm, tools=[contract(multiply)], name="abacus", checkpointer=saver)
    result = await agent.ainvoke(ASKED, config(), context=ADA)
    rows = await spans()
    whole = "invoke_agent abacus"
    assert tree(rows) == [
        (whole, None),
        ("step receive", whole),
        ("step plan", whole),
        ("chat scripted", "step plan"),
        ("step execute", whole),
        ("execute_tool multiply", "step execute"),
        ("step observe", whole),
        ("step plan", whole),
        ("chat scripted", "step plan"),
        ("step respond", whole),
    ]
    shared = {
        (one["trace_id"], one["run_id"], one["thread_id"], one["tenant"], one["user_id"]) for one in rows
    }
    assert shared == {(rows[0]["trace_id"], result["turn"]["run_id"], "t", "acme", "ada")}
    assert {one["status"] for one in rows} == {"ok"}
    assert (rows[0]["outcome"], rows[5]["outcome"]) == ("answered", "ok")
    chats = [one for one in rows if one["operation"] == "chat"]
    assert sum(one["input_tokens"] for one in chats) == result["turn"]["input_tokens"]
    assert sum(one["output_tokens"] for one in chats) == result["turn"]["output_tokens"]
    assert [one["attributes"]["gen_ai.response.finish_reasons"] for one in chats] == [
        ["tool_calls"],
        ["stop"],
    ]


async def status(process: Process) -> str:
    run = await latest_run(await process.database(), "t")
    assert run is not None
    return run.status


async def test_a_run_that_waits_for_a_person_is_no_error_and_its_traces_are_linked(
    process: Process, saver: Any, speaking: Any
) -> None:
    shop = Shop(saver, speaking, process)
    llm = await speaking([pays(500), "Done."])

    async def pay(amount: int, to: str = "shop") -> str:
        """Pay an amount."""
        assert await status(process) == "running"
        return f"paid {amount} to {to}"

    agent = create_agent(llm=llm, tools=[contract(pay, approval=always)], checkpointer=shop.saver)
    await agent.ainvoke(ASKED, config())
    assert await status(process) == "interrupted"
    await agent.ainvoke(Command(resume=APPROVE), config())
    assert await status(process) == "finished"
    rows = await spans()
    first, second = [one for one in rows if one["operation"] == "invoke_agent"]
    assert (first["status"], first["outcome"]) == ("interrupted", "interrupted")
    assert (second["status"], second["outcome"]) == ("ok", "answered")
    assert second["trace_id"] != first["trace_id"]
    assert (first["links"], second["links"]) == ([], [f"{first['trace_id']}-{first['span_id']}"])
    assert {one["run_id"] for one in rows} == {first["run_id"]}
    assert [one["status"] for one in rows if one["step"] == "review"] == ["interrupted", "ok"]
    assert "error" not in {one["status"] for one in rows}


async def test_teams_side_by_side_are_below_the_one_that_has_handed_them_work(
    saver: Any, speaking: Any
) -> None:
    teams = [
        Team(name, "Works.", create_agent(llm=await speaking([f"{name} is done."]), name=name))
        for name in ("left", "right")
    ]
    handed = Reply(tool_calls=tuple(ToolCall(team.name, {"task": team.name, "goal": "go"}) for team in teams))
    office = create_hierarchy(
        llm=await speaking([handed, "Both done."]), teams=teams, checkpointer=saver, name="office"
    )
    await office.ainvoke(ASKED, config(), context=ADA)
    rows = await spans()
    assert {one["trace_id"] for one in rows} == {rows[0]["trace_id"]}
    assert {one["run_id"] for one in rows} == {rows[0]["run_id"]}
    agents = [(one["agent"], one["above"]) for one in rows if one["operation"] == "invoke_agent"]
    assert sorted(agents, key=str) == [
        ("left", "step left"),
        ("office", None),
        ("right", "step right"),
    ]
    below = {one["span_id"]: one for one in rows}
    of_left = [one for one in rows if one["parent_id"] and below[one["parent_id"]]["agent"] == "left"]
    assert [one["step"] for one in of_left] == ["receive", "plan", "respond"]


async def test_what_fails_says_so_and_each_attempt_is_an_event(saver: Any, speaking: Any) -> None:
    tried: list[int] = []

    async def flaky() -> str:
        """Fail twice."""
        tried.append(1)
        if len(tried) < 3:
            raise ConnectionError("no")
        return "there"

    tool = contract(flaky, effect="read", retry=Retry(max_attempts=3, base_s=0.01, max_s=0.01))
    llm = await speaking([Reply(tool_calls=(ToolCall("flaky", {}),)), Reply(status=401, text="no")])
    agent = create_agent(llm=llm, tools=[tool], checkpointer=saver)
    await agent.ainvoke(ASKED, config())
    rows = await spans()
    [call] = [one for one in rows if one["operation"] == "execute_tool"]
    assert (call["status"], call["outcome"]) == ("ok", "ok")
    told = [(one["boring.attempt"], one["error.type"]) for one in call["events"]]
    assert told == [(1, "ConnectionError"), (2, "ConnectionError")]
    *_, chat = [one for one in rows if one["operation"] == "chat"]
    assert (chat["status"], chat["error_type"]) == ("error", "OpenAIAuthenticationError")
    assert (rows[0]["status"], rows[0]["outcome"]) == ("error", "failed")


@pytest.mark.parametrize("is_node", [True, False])
async def test_an_agent_in_a_graph_of_a_user_s_own_is_traced_for_whoever_asked_that(
    saver: Any, speaking: Any, *, is_node: bool
) -> None:
    agent = create_agent(llm=await speaking(["It is 42."]), name="abacus")

    async def ask(state: MessagesState) -> dict[str, Any]:
        asked: Any = {"messages": state["messages"]}
        return {"messages": [AIMessage((await agent.ainvoke(asked))["answer"]["text"])]}

    whole: Any = StateGraph(MessagesState, context_schema=RunContext)
    whole.add_node("inner", agent if is_node else ask).add_edge(START, "inner")
    await whole.compile(checkpointer=saver).ainvoke(ASKED, config(), context=ADA)
    rows = await spans()
    assert {(one["tenant"], one["user_id"], one["thread_id"]) for one in rows} == {("acme", "ada", "t")}


async def test_a_run_within_a_span_of_its_caller_s_is_told_whole_and_sent_where_that_one_goes(
    process: Process, saver: Any, speaking: Any
) -> None:
    agent = create_agent(llm=await speaking(["It is 42."]), name="abacus", checkpointer=saver)
    theirs = TracerProvider(shutdown_on_exit=False).get_tracer("theirs")
    with theirs.start_as_current_span("POST /ask") as above:
        await agent.ainvoke(ASKED, config())
    rows = await spans()
    assert tree(rows)[:2] == [("invoke_agent abacus", None), ("step receive", "invoke_agent abacus")]
    assert int(rows[0]["trace_id"], 16) == above.get_span_context().trace_id
    assert rows[0]["parent_id"] is None
    (found,) = await runs_found(await process.database(), WantedRuns(), limit=9)
    assert found.duration_ms == rows[0]["duration_ms"]


async def test_a_run_that_is_drained_waits_for_nobody(process: Process, saver: Any, speaking: Any) -> None:
    control = RunControl()

    async def drain() -> str:
        """Have the graphs end at the next step."""
        control.request_drain()
        return "soon"

    asked = Reply(tool_calls=(ToolCall("drain", {}),))
    worker = create_agent(llm=await speaking([asked]), tools=[contract(drain, effect="read")], name="worker")
    handed = Reply(tool_calls=(ToolCall("worker", {"task": "drain", "goal": "go"}),))
    office = create_hierarchy(
        llm=await speaking([handed]), teams=[Team("worker", "Works.", worker)], checkpointer=saver
    )
    with pytest.raises(GraphDrained):
        await office.ainvoke(ASKED, config(), control=control)
    assert await status(process) == "running"
    rows = await spans()
    assert {one["status"] for one in rows} == {"ok"}
    assert [one["outcome"] for one in rows if one["operation"] == "invoke_agent"] == ["abandoned"] * 2
