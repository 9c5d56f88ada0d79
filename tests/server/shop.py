"""An agent for the server whose tools change something outside: a line in the file `ledger` beside it."""

import asyncio
from pathlib import Path

from langgraph.graph import START, MessagesState, StateGraph

from graphs.recorded import recorded
from graphs.single import create_agent
from guardrails.approval import always
from tools.contract import contract

HERE = Path(__file__).parent
DONE_AND_FAILS, FAILS_ONCE, HANGS = 7, 8, 9


def write(line: str) -> None:
    with (HERE / "ledger").open("a") as ledger:
        ledger.write(f"{line}\n")


async def ship(order: int) -> str:
    """Ship an order."""
    await asyncio.to_thread(write, f"ship {order}")
    return f"shipped {order}"


async def pay(amount: int) -> str:
    """Pay an amount."""
    tried = HERE / "tried"
    if amount == FAILS_ONCE and not await asyncio.to_thread(tried.exists):
        await asyncio.to_thread(tried.touch)
        raise RuntimeError("the line went dead")
    await asyncio.to_thread(write, f"pay {amount}")
    if amount == DONE_AND_FAILS:
        raise RuntimeError("the line went dead")
    if amount == HANGS:
        await asyncio.Event().wait()
    return f"paid {amount}"


graph = create_agent(tools=[contract(ship, approval=always), pay], name="shop")
around = recorded(
    StateGraph(MessagesState).add_node("inner", graph).add_edge(START, "inner").compile(name="around")
)
