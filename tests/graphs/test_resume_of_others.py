"""A run that a server or a program began is gone on with by commands, wherever it was cut off."""

from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from rich.console import Console

from app.session import Session, finish_last_run
from core.context import RunContext
from core.process import current_process
from evals.scripted_model import ScriptedModel
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer

CUT = """
with cut as (
    select checkpoint_id from checkpoints
    where thread_id = 'other' and checkpoint_ns = '' and metadata ->> 'step' = %s
), later as (
    delete from checkpoints using cut
    where thread_id = 'other' and checkpoints.checkpoint_id > cut.checkpoint_id
)
delete from checkpoint_writes using cut
where thread_id = 'other' and checkpoint_writes.checkpoint_id >= cut.checkpoint_id
"""
UNFINISHED = """
update boring.run set status = 'running', finished_at = null, reason = null
where run_id = (select run_id from boring.run order by started_at desc limit 1)
"""


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(("step", "waits_for"), [("5", "receive"), ("6", "plan")])
async def test_a_question_is_asked_once_wherever_the_run_was_cut_off(step: str, waits_for: str) -> None:
    async with ScriptedModel(["one", "two", "three"]) as model:
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted")
        agent: Any = create_agent(llm=llm, tools=[], checkpointer=await postgres_checkpointer())
        config: Any = {"configurable": {"thread_id": "other"}}
        for question in ("first", "second"):
            await agent.ainvoke({"messages": [("user", question)]}, config, context=RunContext())
        process = await current_process()
        async with (await process.database()).pool.connection() as connection:
            await connection.execute(CUT, (step,))
            await connection.execute(UNFINISHED)
        assert (await agent.aget_state(config)).next == (waits_for,)
        session = Session(process, agent, Console(quiet=True), as_json=False, graph=None)
        await finish_last_run(session, "other")
        messages = (await agent.aget_state(config)).values["messages"]
    assert [message.text for message in messages] == ["first", "one", "second", "three"]
