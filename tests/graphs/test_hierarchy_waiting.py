"""What the tables say of a run that waits for a person within a team."""

from typing import Any

from langgraph.types import Command

from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from guardrails.approval import Level, always, over
from tools.contract import contract

CONFIG: Any = {"configurable": {"thread_id": "office"}}
ASKED: Any = {"messages": [("user", "Pay 5")]}
APPROVE = {"decisions": [{"type": "approve"}], "by": "ann"}


def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


async def test_the_run_is_interrupted_and_the_request_names_it(
    saver: Any, speaking: Any, process: Process
) -> None:
    policy = over("amount", 1, levels=[Level("manager")])
    till = create_agent(
        llm=await speaking([Reply(tool_calls=(ToolCall("pay", {"amount": 5}),))]),
        tools=[contract(pay, approval=policy)],
        roles={"manager": ["ann"]},
    )
    records = Team("records", "Keeps books.", teams=[Team("till", "Pays.", till)])
    handed_on = [
        Reply(tool_calls=(ToolCall(team, {"task": "pay", "goal": "Pay 5"}),)) for team in ("records", "till")
    ]
    office = create_hierarchy(llm=await speaking(handed_on), teams=[records], checkpointer=saver)
    result = await office.ainvoke(ASKED, CONFIG)
    assert len(result["__interrupt__"]) == 1
    database = await process.database()
    async with database.pool.connection() as connection:
        found = await connection.execute(
            "select run.status, approval.status as request from boring.run"
            " join boring.approval using (run_id) join boring.audit using (run_id)"
        )
        rows = await found.fetchall()
    assert rows == [{"status": "interrupted", "request": "open"}]


async def test_a_run_of_which_one_request_of_two_is_decided_still_waits(
    saver: Any, speaking: Any, process: Process
) -> None:
    asks = Reply(tool_calls=(ToolCall("pay", {"amount": 5}),))
    names = ("till", "safe")
    teams = [
        Team(
            name,
            "Pays.",
            create_agent(
                llm=await speaking([asks, "Paid."]), tools=[contract(pay, approval=always)], name=name
            ),
        )
        for name in names
    ]
    handed_on = Reply(tool_calls=tuple(ToolCall(name, {"task": name, "goal": "Pay"}) for name in names))
    office = create_hierarchy(llm=await speaking([handed_on, "Done."]), teams=teams, checkpointer=saver)
    first, second = (await office.ainvoke(ASKED, CONFIG))["__interrupt__"]
    assert await statuses(process) == ["interrupted"]
    result = await office.ainvoke(Command(resume={first.id: APPROVE}), CONFIG)
    assert [one.id for one in result["__interrupt__"]] == [second.id]
    assert await statuses(process) == ["interrupted"]
    await office.ainvoke(Command(resume={second.id: APPROVE}), CONFIG)
    assert await statuses(process) == ["finished"]


async def statuses(process: Process) -> list[str]:
    async with (await process.database()).pool.connection() as connection:
        found = await connection.execute("select status from boring.run")
        return [row["status"] for row in await found.fetchall()]
