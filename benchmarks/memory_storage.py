"""What a long conversation takes in the database: an agent of ours, and a graph with the stock parts."""

import random
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.process import current_process
from evals.scripted_model import ScriptedModel
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from memory.retention import thread_size

CHARS: Final = 500
STEPS: Final = ("receive", "plan", "execute", "observe", "respond")


class Conversation(TypedDict):
    """The state of the graph with the stock parts."""

    messages: Annotated[list[AnyMessage], add_messages]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Megabytes of one thread's checkpoints, after each of some numbers of turns."""

    stock: Sequence[float]
    ours: Sequence[float]


async def sizes_after(turns: Sequence[int]) -> Sizes:
    """Return what two conversations of the same text take, after each number of turns in `turns`."""
    database = await (await current_process()).database()
    stock = _stock_graph(AsyncPostgresSaver(database.pool))  # pyright: ignore[reportArgumentType] - rows are dicts
    async with _agent(await postgres_checkpointer()) as agent:
        return Sizes(await _sizes(stock, turns), await _sizes(agent, turns))


async def _sizes(graph: Any, turns: Sequence[int]) -> list[float]:
    thread = uuid.uuid4().hex
    words = random.Random(1)  # noqa: S311 - text of a benchmark
    sizes: list[float] = []
    for turn in range(1, turns[-1] + 1):
        asked = {"messages": [HumanMessage(_text(words))]}
        await graph.ainvoke(asked, {"configurable": {"thread_id": thread}}, durability="async")
        if turn in turns:
            sizes.append(await _megabytes(thread))
    return sizes


async def _megabytes(thread: str) -> float:
    database = await (await current_process()).database()
    async with database.pool.connection() as connection, connection.cursor() as cursor:
        return (await thread_size(cursor, thread))[1] / 1e6


@asynccontextmanager
async def _agent(saver: BaseCheckpointSaver[str]) -> AsyncGenerator[Any]:
    words = random.Random(2)  # noqa: S311 - text of a benchmark
    async with ScriptedModel(lambda _: _text(words), keep_alive=True) as model:
        key = SecretStr(model.api_key)
        chat = ChatOpenAI(base_url=model.base_url, api_key=key, model="scripted", max_retries=0)
        yield create_agent(llm=chat, checkpointer=saver)


def _stock_graph(saver: BaseCheckpointSaver[Any]) -> Any:
    words = random.Random(2)  # noqa: S311 - text of a benchmark

    async def step(state: Conversation) -> dict[str, Any]:
        del state
        return {}

    async def answer(state: Conversation) -> dict[str, Any]:
        del state
        return {"messages": [AIMessage(_text(words))]}

    builder = StateGraph(Conversation)
    before = START
    for name in STEPS:
        builder.add_node(name, answer if name == "plan" else step)
        builder.add_edge(before, name)
        before = name
    return builder.compile(checkpointer=saver)


def _text(words: random.Random) -> str:
    """Return text of `CHARS` characters that a database can't compress much better than prose."""
    letters = "etaoinshrdlucmfwypvbgkjqxz     "
    return "".join(words.choices(letters, k=CHARS))
