"""What the tables say of a run that waits for a person within a team."""

from typing import Any

from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from guardrails.approval import Level, over
from tools.contract import contract

CONFIG: Any = {"configurable": {"thread_id": "office"}}
ASKED: Any = {"messages": [("user", "Pay 5")]}


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
