"""Fallback models, on several scripted models behind real HTTP."""

import asyncio
import json
import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from core.context import RunContext
from core.models import configured_fallbacks, given_model
from core.process import Process, opened_process
from core.protocols import Model, ModelProfile, ModelSource
from core.settings import Settings
from evals.scripted_model import Line, Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from observability.tracing import current_tracing
from tools.breakers import current_breakers
from tools.calculator import arithmetic

CONFIG: Any = {"configurable": {"thread_id": "t"}}


async def run(agent: Any, question: str = "Hi") -> Any:
    asked = {"messages": [HumanMessage(question)]}
    return await agent.ainvoke(asked, CONFIG, context=RunContext())


def requests(llm: ChatOpenAI) -> list[Any]:
    return (llm.metadata or {})["scripted"].requests


def closed() -> ChatOpenAI:
    """Return a model at an address where nothing listens."""
    return ChatOpenAI(
        base_url="http://127.0.0.1:9/v1", api_key=SecretStr("x"), model="scripted", max_retries=0
    )


def profiled(llm: ChatOpenAI, profile: ModelProfile) -> ModelSource:
    async def source() -> Model:
        return Model(profile=profile, chat=llm)

    return source


async def rows(process: Process, statement: Any) -> list[dict[str, Any]]:
    await (await current_tracing()).flush()
    async with (await process.database()).pool.connection() as connection:
        return await (await connection.execute(statement)).fetchall()


@pytest.mark.parametrize(
    ("failure", "why", "level"),
    [
        (Reply(status=500), "HTTP 500", logging.WARNING),
        (Reply(status=503), "HTTP 503", logging.WARNING),
        (Reply(status=429), "HTTP 429", logging.WARNING),
        (Reply(drop_after=0), "OpenAIConnectionError", logging.WARNING),
        (Reply(status=401), "HTTP 401, check its name and key", logging.ERROR),
        (Reply(status=403), "HTTP 403, check its name and key", logging.ERROR),
        (Reply(status=404), "HTTP 404, check its name and key", logging.ERROR),
    ],
)
async def test_the_next_model_answers_and_the_switch_is_recorded(
    process: Process, saver: Any, speaking: Any, caplog: Any, failure: Reply, why: str, level: int
) -> None:
    first, second = await speaking([failure]), await speaking(["From the second."])
    with caplog.at_level(logging.WARNING, logger="nodes.fallback"):
        result = await run(create_agent(llm=first, fallbacks=[second], checkpointer=saver))
    assert result["answer"]["text"] == "From the second."
    (decision,) = await rows(process, "select * from boring.decision where kind = 'fallback'")
    assert {key: decision[key] for key in ("thread_id", "run_id", "step", "kind", "decided_by")} == {
        "thread_id": "t",
        "run_id": result["turn"]["run_id"],
        "step": 1,
        "kind": "fallback",
        "decided_by": "rule",
    }
    assert (decision["choice"], decision["candidates"]) == ("scripted#2", ["scripted", "scripted#2"])
    assert decision["reason"] == f"scripted: {why}"
    (record,) = caplog.records
    assert (record.levelno, why in record.message) == (level, True)


async def test_a_model_that_can_not_be_reached_is_passed_over(saver: Any, speaking: Any) -> None:
    agent = create_agent(llm=closed(), fallbacks=[closed(), await speaking(["Third."])], checkpointer=saver)
    assert (await run(agent))["answer"]["text"] == "Third."


async def test_a_model_that_does_not_answer_in_time_is_passed_over(saver: Any, speaking: Any) -> None:
    late = await speaking([Reply(text="late", delay_s=30)])
    slow = ChatOpenAI(
        base_url=late.openai_api_base, api_key=SecretStr("x"), model="slow", max_retries=0, timeout=0.2
    )
    agent = create_agent(llm=slow, fallbacks=[await speaking(["In time."])], checkpointer=saver)
    assert (await run(agent))["answer"]["text"] == "In time."


class Impatient(BaseChatModel):
    """A client whose own time limit raises what asyncio raises."""

    @property
    def _llm_type(self) -> str:
        return "impatient"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        raise AssertionError


async def test_the_time_limit_of_a_client_is_not_taken_for_the_deadline_of_the_run(
    saver: Any, speaking: Any
) -> None:
    alone = await run(create_agent(llm=Impatient(), checkpointer=saver))
    assert alone["answer"]["status"] == "failed"
    assert "Impatient did not answer in time" in alone["answer"]["text"]
    agent = create_agent(llm=Impatient(), fallbacks=[await speaking(["Yes."])], checkpointer=saver)
    assert (await run(agent))["answer"]["text"] == "Yes."


async def test_a_wrong_request_is_wrong_for_every_model(process: Process, saver: Any, speaking: Any) -> None:
    first, second = await speaking([Reply(status=400)]), await speaking(["Never asked."])
    result = await run(create_agent(llm=first, fallbacks=[second], checkpointer=saver))
    assert result["answer"]["status"] == "failed"
    assert "HTTP 400" in result["answer"]["text"]
    assert requests(second) == []
    assert await rows(process, "select * from boring.decision where kind = 'fallback'") == []


async def test_the_line_is_gone_down_again_until_the_attempts_are_used_up(saver: Any, speaking: Any) -> None:
    first = await speaking([Reply(status=500), Reply(status=500), "Back again."])
    second = await speaking([Reply(status=429)] * 2)
    result = await run(create_agent(llm=first, fallbacks=[second], checkpointer=saver))
    assert result["answer"]["text"] == "Back again."
    assert (len(requests(first)), len(requests(second))) == (3, 2)


async def test_a_line_that_fails_to_its_end_ends_the_run_with_the_last_reason(
    saver: Any, speaking: Any
) -> None:
    first, second = await speaking([Reply(status=500)]), await speaking([Reply(status=401)])
    result = await run(create_agent(llm=first, fallbacks=[second], checkpointer=saver))
    assert result["answer"]["status"] == "failed"
    assert "refused the key" in result["answer"]["text"]


async def test_a_model_whose_breaker_is_open_gets_no_request(
    process: Process, saver: Any, speaking: Any
) -> None:
    first = await speaking([Reply(status=500)] * 9)
    agent = create_agent(llm=first, fallbacks=[await speaking(["Yes."] * 9)], checkpointer=saver)
    for _ in range(7):
        assert (await run(agent))["answer"]["text"] == "Yes."
    assert len(requests(first)) == 5
    counted = (
        "select reason, count(*) as times from boring.decision where kind = 'fallback' group by 1 order by 1"
    )
    reasons = await rows(process, counted)
    assert [(row["reason"], row["times"]) for row in reasons] == [
        ("scripted: HTTP 500", 5),
        ("scripted: its circuit breaker is open", 2),
    ]


async def cooled_down(process: Process) -> None:
    await rows(process, "update boring.breaker set reopen_at = now() returning name")
    breakers = await current_breakers()
    for state in await breakers.states():
        await breakers._reload(state.name)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - nobody announces what the clock does


async def test_an_endpoint_that_refuses_is_healthy(process: Process, saver: Any, speaking: Any) -> None:
    first = await speaking([*[Reply(status=500)] * 5, Reply(status=404)])
    agent = create_agent(llm=first, fallbacks=[await speaking(["Second."] * 6)], checkpointer=saver)
    for _ in range(5):
        await run(agent)
    await cooled_down(process)
    await run(agent)
    assert [state.state for state in await (await current_breakers()).states()] == ["closed"]


async def test_a_model_that_recovered_is_asked_first_again(
    process: Process, saver: Any, speaking: Any
) -> None:
    first = await speaking([*[Reply(status=500)] * 5, "First again.", "And again."])
    agent = create_agent(llm=first, fallbacks=[await speaking(["Second."] * 9)], checkpointer=saver)
    for _ in range(5):
        await run(agent)
    await cooled_down(process)
    assert (await run(agent))["answer"]["text"] == "First again."
    assert (await run(agent))["answer"]["text"] == "And again."
    states = await (await current_breakers()).states()
    where = urlsplit(str(first.openai_api_base)).netloc
    assert {state.name: state.state for state in states} == {f"model:scripted at {where}": "closed"}


async def test_an_endpoint_that_is_down_shuts_no_other_with_a_model_of_that_name(
    saver: Any, speaking: Any
) -> None:
    down, up = await speaking([Reply(status=500)] * 9), await speaking(["Fine."])
    for _ in range(3):
        await run(create_agent(llm=down, checkpointer=saver))
    assert (await run(create_agent(llm=up, checkpointer=saver)))["answer"]["text"] == "Fine."


@pytest.mark.parametrize(
    ("base_url", "endpoint"),
    [
        ("https://user:secret@host:8443/v1?key=secret", "host:8443"),
        ("https://host/secret/v1", f"host/{sha256(b'/secret/v1').hexdigest()[:8]}"),
    ],
)
async def test_the_name_of_an_endpoint_shows_no_secret(base_url: str, endpoint: str) -> None:
    chat = ChatOpenAI(base_url=base_url, api_key=SecretStr("x"), model="m")
    assert (await given_model(chat)()).profile.endpoint == endpoint


async def test_a_probe_that_tells_nothing_is_followed_by_another_at_once(
    process: Process, saver: Any, speaking: Any
) -> None:
    llm = await speaking([*[Reply(status=500)] * 5, *[Reply(status=429)] * 3, "Well again."])
    agent = create_agent(llm=llm, checkpointer=saver)
    while len(requests(llm)) < 5:
        await run(agent)
    await cooled_down(process)
    while len(requests(llm)) < 8:
        before = len(requests(llm))
        await run(agent)
        assert len(requests(llm)) > before
    assert (await run(agent))["answer"]["text"] == "Well again."


async def test_without_a_fallback_an_open_breaker_ends_the_run_at_once(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(status=500)] * 9)
    agent = create_agent(llm=llm, checkpointer=saver)
    for _ in range(2):
        result = await run(agent)
    assert result["answer"]["status"] == "failed"  # pyright: ignore[reportPossiblyUnboundVariable]
    assert "HTTP 500" in result["answer"]["text"]  # pyright: ignore[reportPossiblyUnboundVariable]
    assert "it failed 5 times in a row, last with 'HTTP 500'" in (await run(agent))["answer"]["text"]
    assert len(requests(llm)) == 5


@pytest.mark.parametrize("status", [400, 401, 404, 429])
async def test_what_the_caller_is_to_blame_for_opens_no_breaker(
    saver: Any, speaking: Any, status: int
) -> None:
    first = await speaking([Reply(status=status)] * 6)
    agent = create_agent(llm=first, fallbacks=[await speaking(["Yes."] * 6)], checkpointer=saver)
    for _ in range(6):
        await run(agent)
    assert len(requests(first)) == 6
    assert await (await current_breakers()).states() == []


async def test_each_model_is_asked_by_its_own_profile(saver: Any, speaking: Any) -> None:
    class Sum(BaseModel):
        total: int

    plan = json.dumps({"call": {"tool": "calculator", "expression": "6*7"}})
    first, second = await speaking([Reply(status=500)] * 2), await speaking([plan, '{"total": 42}'])
    agent = create_agent(
        llm=first,
        fallbacks=[profiled(second, ModelProfile("small", plans_by="schema", tool_rounds=1))],
        tools=[arithmetic()],
        response_format=Sum,
        checkpointer=saver,
    )
    result = await run(agent, "What is 6*7?")
    assert result["structured_response"] == Sum(total=42)
    assert "tools" in requests(first)[0]
    assert "tools" not in requests(second)[0]
    assert requests(second)[0]["response_format"]["json_schema"]["name"] == "plan"


async def test_a_long_conversation_is_fitted_into_the_context_of_the_fallback(
    saver: Any, speaking: Any
) -> None:
    first, second = await speaking([Reply(status=500)]), await speaking(["Yes."])
    small = profiled(second, ModelProfile("small", context_tokens=2000, max_tokens=200))
    agent = create_agent(llm=first, fallbacks=[small], checkpointer=saver)
    old = [HumanMessage("long " * 4000), AIMessage("I see.")]
    await agent.ainvoke({"messages": [*old, HumanMessage("Hi")]}, CONFIG, context=RunContext())
    assert len(requests(first)[0]["messages"]) == 4
    assert [message["content"] for message in requests(second)[0]["messages"][1:]] == ["Hi"]


async def test_a_switch_in_a_later_step_is_a_decision_of_its_own(
    process: Process, saver: Any, speaking: Any
) -> None:
    call = Reply(tool_calls=(ToolCall("calculator", {"expression": "6*7"}),))
    first, second = await speaking([Reply(status=500)] * 2), await speaking([call, "42."])
    await run(create_agent(llm=first, fallbacks=[second], tools=[arithmetic()], checkpointer=saver))
    found = await rows(process, "select step from boring.decision where kind = 'fallback' order by step")
    assert [row["step"] for row in found] == [1, 2]


async def configured(postgres_url: str, script: Sequence[Line], tmp_path: Any, **more: Any) -> Any:
    async with ScriptedModel(script) as model:
        settings = Settings(
            database_url=SecretStr(postgres_url),
            data_dir=tmp_path,
            cache_dir=tmp_path,
            openai_base_url=model.base_url,
            model="one",
            fallback_models=("two", "three"),
        )
        async with opened_process(settings):
            agent = create_agent(checkpointer=await postgres_checkpointer(), **more)
            result = await run(agent)
        return result["answer"]["status"], [request["model"] for request in model.requests]


async def test_the_configured_fallbacks_stand_behind_the_configured_model_only(
    postgres_url: str, tmp_path: Any
) -> None:
    failing = [Reply(status=404), Reply(status=500), "Yes."]
    assert await configured(postgres_url, failing, tmp_path) == ("answered", ["one", "two", "three"])
    assert await configured(postgres_url, failing, tmp_path, llm="one") == ("failed", ["one"])
    assert await configured(postgres_url, failing, tmp_path, fallbacks=[]) == ("failed", ["one"])


async def test_no_fallback_is_configured_unless_named(process: Process) -> None:
    assert process.settings.fallback_models == ()
    assert await configured_fallbacks() == []
