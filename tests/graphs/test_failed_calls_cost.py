"""What a model call costs that has failed: nothing, where its endpoint answered with an error."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from core.process import Process, opened_process
from core.settings import Settings
from evals.scripted_model import Line, Reply, ScriptedModel
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from observability.run_search import runs_found
from observability.trace_log import WantedRuns
from observability.tracing import current_tracing
from tests.graphs.test_fallback import closed

ANSWER = Reply(text="Here.", prompt_tokens=7, completion_tokens=3)
COST = Decimal("0.000037")


async def spent(process: Process, llm: Any, **more: Any) -> Decimal | None:
    agent = create_agent(llm=llm, checkpointer=await postgres_checkpointer(), **more)
    asked: Any = {"messages": [("user", "Hi")]}
    state = await agent.ainvoke(asked, {"configurable": {"thread_id": "t"}})
    assert state["answer"]["text"] == "Here."
    await (await current_tracing()).flush()
    (found,) = await runs_found(await process.database(), WantedRuns(thread_id="t"), limit=1)
    return found.cost_usd


@pytest.mark.parametrize(
    ("script", "cost"),
    [
        ([Reply(status=503), Reply(status=429), ANSWER], COST),
        ([Reply(text="cut off", drop_after=0), ANSWER], None),  # it may have been charged for
    ],
)
async def test_a_call_that_an_endpoint_refused_is_free_and_one_that_was_cut_off_is_unknown(
    postgres_url: str, tmp_path: Path, script: list[Line], cost: Decimal | None
) -> None:
    prices: Any = {"scripted": {"input": 1, "output": 10}}
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path, prices=prices
    )
    async with ScriptedModel(script) as model, opened_process(settings) as process:
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr("x"), model="scripted", max_retries=0)
        assert await spent(process, llm) == cost


async def test_a_call_that_reached_nobody_is_free(postgres_url: str, tmp_path: Path) -> None:
    prices: Any = {"scripted": {"input": 1, "output": 10}}
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path, prices=prices
    )
    async with ScriptedModel([ANSWER]) as model, opened_process(settings) as process:
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr("x"), model="scripted")
        assert await spent(process, closed(), fallbacks=[llm]) == COST


async def test_a_failed_call_is_free_whether_its_model_has_a_price_or_not(
    postgres_url: str, tmp_path: Path
) -> None:
    prices: Any = {"priced": {"input": 1, "output": 10}}
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path, prices=prices
    )
    async with ScriptedModel([ANSWER]) as model, opened_process(settings) as process:
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr("x"), model="priced", max_retries=0)
        assert await spent(process, closed(), fallbacks=[llm]) == COST
