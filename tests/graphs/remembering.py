"""What the tests of agents that remember share: a process with embeddings, facts as a model gives them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from core.context import RunContext
from core.process import Process, current_process, opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import Agent
from nodes.learner import current_learner

ADA = RunContext(user="ada", tenant="acme")
BOB = RunContext(user="bob", tenant="acme")
Told = tuple[int, str, str]
"""The number of the message, the subject, and the fact."""


@asynccontextmanager
async def remembering(url: str, folder: Path, **options: Any) -> AsyncGenerator[Process]:
    """Own a process whose embeddings are of a scripted model."""
    async with ScriptedModel(dimensions=256) as model:
        settings = Settings(
            database_url=SecretStr(url),
            data_dir=folder,
            cache_dir=folder,
            embedding_base_url=model.base_url,
            **options,
        )
        async with opened_process(settings) as process:
            yield process


def gives(*facts: Told, tokens: tuple[int, int] = (100, 10)) -> Reply:
    """Return what a model says that has extracted these facts."""
    given = [{"message": number, "subject": subject, "text": text} for number, subject, text in facts]
    call = ToolCall("Facts", {"told": "", "facts": given})
    return Reply(tool_calls=(call,), prompt_tokens=tokens[0], completion_tokens=tokens[1])


async def turn(agent: Agent, text: str, *, thread: str = "t", context: RunContext = ADA) -> Any:
    """Run a turn to its answer."""
    config: Any = {"configurable": {"thread_id": thread}}
    return await agent.ainvoke({"messages": [HumanMessage(text)]}, config, context=context)


async def learnt() -> None:
    """Wait until everything is learnt that is due."""
    await (await current_learner()).idle()


async def rows(statement: LiteralString, *values: Any) -> list[dict[str, Any]]:
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()


def asked(llm: Any, number: int) -> str:
    """Return all words of a request to the scripted model."""
    return "\n".join(str(one["content"]) for one in llm.metadata["scripted"].requests[number]["messages"])
