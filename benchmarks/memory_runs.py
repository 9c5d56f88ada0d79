"""Runs a second on both savers: many runs of a five-node graph at once, each on a thread of its own."""

import asyncio
import statistics
import time
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from core.message_log import MessageLog
from core.process import current_process
from memory.checkpoints import postgres_checkpointer

NODES: Final = 5
CONCURRENT: Final = 16


class Conversation(TypedDict):
    """The state of the graph that is run."""

    messages: Annotated[list[AnyMessage], add_messages]


class Logged(TypedDict):
    """The same with the channel of our agents."""

    messages: Annotated[list[AnyMessage], MessageLog()]


@dataclass(frozen=True, slots=True)
class Rates:
    """Runs a second, the median over the rounds."""

    stock: float
    ours: float
    logged: float

    @property
    def ratio(self) -> float:
        """How many times as many runs ours lets through."""
        return self.ours / self.stock


async def run_rates(*, rounds: int, runs: int) -> Rates:
    """Measure both savers on the same pool, in turn, so that both meet the same machine.

    Args:
        rounds: how often both are measured.
        runs: how many runs each time, `CONCURRENT` of them at once.
    """
    database = await (await current_process()).database()
    ours = await postgres_checkpointer()
    stock = AsyncPostgresSaver(database.pool)  # pyright: ignore[reportArgumentType] - rows are dicts
    kinds = {"stock": (stock, Conversation), "ours": (ours, Conversation), "logged": (ours, Logged)}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for saver, state in kinds.values():
        await _rate(saver, state, CONCURRENT)  # opens the connections and prepares the statements
    for _ in range(rounds):
        for name, (saver, state) in kinds.items():
            found[name].append(await _rate(saver, state, runs))
    return Rates(**{name: statistics.median(rates) for name, rates in found.items()})


async def _rate(saver: BaseCheckpointSaver[Any], state: type[Any], runs: int) -> float:
    graph = _graph(saver, state)
    waiting = iter(range(runs))

    async def lane() -> None:
        for number in waiting:
            config: Any = {"configurable": {"thread_id": uuid.uuid4().hex}}
            await graph.ainvoke({"messages": [HumanMessage(f"Question {number}.")]}, config)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENT):
            group.create_task(lane())
    return runs / (time.perf_counter() - begun)


def _graph(saver: BaseCheckpointSaver[Any], of: type[Any]) -> Any:
    async def speak(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(f"Step {len(state['messages'])}.")]}

    builder = StateGraph(of)
    before = START
    for number in range(NODES):
        builder.add_node(f"step_{number}", speak)
        builder.add_edge(before, f"step_{number}")
        before = f"step_{number}"
    return builder.compile(checkpointer=saver)
