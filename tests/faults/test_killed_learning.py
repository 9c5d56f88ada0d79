"""A process that is killed between its answer and what is learnt from it loses nothing."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import boring
from tests.graphs.remembering import remembering, rows

WORK = """
import asyncio
from core.context import RunContext
from core.process import opened_process
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer


async def main():
    async with opened_process():
        agent = create_agent(checkpointer=await postgres_checkpointer(), memory=True)
        config = {"configurable": {"thread_id": "t"}}
        asked = {"messages": [("user", "I like tea.")]}
        result = await agent.ainvoke(asked, config, context=RunContext(user="ada", tenant="acme"))
        print(result["answer"]["text"], flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
"""
FACT = {"message": 1, "subject": "drink", "text": "The user likes tea."}


def environment(url: str, model: ScriptedModel, folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DATABASE_URL": url,
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "x",
        "BORING_MODEL": "scripted",
        "BORING_EMBEDDING_MODEL": "scripted",
        "BORING_EMBEDDING_BASE_URL": model.base_url,
        "BORING_DATA_DIR": str(folder),
    }


@pytest.mark.timeout(180)
async def test_a_process_killed_while_it_learns_leaves_the_turn_to_the_next(
    postgres_url: str, tmp_path: Path
) -> None:
    learning, learns = asyncio.Event(), True

    def says(request: dict[str, Any]) -> Reply | str:
        if "Facts" not in str(request.get("tools")):
            return "Noted."
        learning.set()
        call = ToolCall("Facts", {"told": "drink", "facts": [FACT]})
        return Reply(tool_calls=(call,), delay_s=3600 if learns else 0, prompt_tokens=50)

    async with ScriptedModel(says, dimensions=256) as model:
        env = environment(postgres_url, model, tmp_path)
        working = await asyncio.create_subprocess_exec(sys.executable, "-c", WORK, env=env, stdout=PIPE)
        assert working.stdout is not None
        assert await working.stdout.readline() == b"Noted.\n"
        await learning.wait()
        working.send_signal(signal.SIGKILL)
        await working.communicate()
        learns = False
        learned = await boring("memory", "learn", env=env, cwd=tmp_path)
    assert learned.out.startswith("t: The user likes tea. (50 tokens in")
    async with remembering(postgres_url, tmp_path):
        (row,) = await rows("select state, attempts, learnt from boring.extraction")
        assert row == {"state": "done", "attempts": 2, "learnt": 1}
        (fact,) = await rows("select user_id, tenant, trusted from boring.memory_item")
        assert fact == {"user_id": "ada", "tenant": "acme", "trusted": True}
