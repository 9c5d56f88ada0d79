"""Answers as validated objects, in every form that models give them in, behind real HTTP."""

import json
import logging
from collections.abc import Sequence
from datetime import date
from typing import Any, ClassVar

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, SecretStr, field_validator

from core.context import RunContext
from core.models import given_model
from core.protocols import Model, ModelProfile
from core.state import Source
from evals.scripted_model import Line, Reply, ToolCall
from graphs.single import create_agent
from memory.runs import latest_run
from tools.calculator import arithmetic
from tools.contract import ToolResult, contract

CONFIG: Any = {"configurable": {"thread_id": "t"}}
MODES = ["json_schema", "tools", "schema"]


class Stop(BaseModel):
    city: str
    nights: int = Field(ge=1, le=30)


class Trip(BaseModel):
    """A journey."""

    title: str
    begin: date
    stops: list[Stop]

    @field_validator("title")
    @classmethod
    def _is_no_shouting(cls, value: str) -> str:
        if value.isupper():
            raise ValueError("the title shouts")
        return value


GOOD: dict[str, Any] = {"title": "South", "begin": "2026-05-01", "stops": [{"city": "Rome", "nights": 3}]}
SHOUTED = {**GOOD, "title": "SOUTH"}
TRIP = Trip.model_validate_json(json.dumps(GOOD))


def said(mode: str, answer: dict[str, Any] | str, **more: Any) -> Reply:
    """Return an answer as a model of that mode gives it."""
    if mode == "tools":
        return Reply(tool_calls=(ToolCall("Trip", answer),), **more)
    return Reply(text=answer if isinstance(answer, str) else json.dumps(answer), **more)


def picks(tool: str, **arguments: Any) -> str:
    return json.dumps({"call": {"tool": tool, **arguments}})


async def agent_of(
    speaking: Any, mode: str, script: Sequence[Line], *, tools: Sequence[Any] = (), **more: Any
) -> tuple[Any, Any]:
    llm = await speaking(script)
    profile = (
        ModelProfile(name="scripted", plans_by="schema", tool_rounds=1)
        if mode == "schema"
        else ModelProfile(name="scripted", structured_by=mode)
    )

    async def source() -> Model:
        return Model(profile=profile, chat=llm)

    agent = create_agent(llm=source, tools=tools, response_format=more.pop("form", Trip), **more)
    return agent, llm.metadata["scripted"]


async def run(agent: Any, **limits: Any) -> Any:
    question = {"messages": [HumanMessage("Plan a trip")]}
    return await agent.ainvoke(question, CONFIG, context=RunContext(**limits))


@pytest.mark.parametrize("mode", MODES)
async def test_the_result_holds_an_instance_and_the_answer_its_json(
    saver: Any, speaking: Any, mode: str
) -> None:
    agent, _ = await agent_of(speaking, mode, [said(mode, GOOD)], checkpointer=saver)
    result = await run(agent)
    assert result["structured_response"] == TRIP
    assert json.loads(result["answer"]["text"]) == GOOD
    assert result["answer"]["status"] == "answered"
    assert [message.type for message in result["messages"]] == ["human", "ai"]
    assert result["messages"][-1].tool_calls == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_stored_answer_is_an_instance_again_in_another_graph(
    saver: Any, speaking: Any, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent, _ = await agent_of(speaking, mode, [said(mode, GOOD)], checkpointer=saver)
    await run(agent)
    again = create_agent(response_format=Trip, checkpointer=saver)
    assert (await again.aget_state(CONFIG)).values["structured_response"] == TRIP
    plain = create_agent(checkpointer=saver)
    assert "structured_response" not in (await plain.aget_state(CONFIG)).values
    assert caplog.records == []


async def test_an_answer_that_a_changed_class_refuses_leaves_the_thread_usable(
    saver: Any, speaking: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Changed(BaseModel):
        price: int

    agent, _ = await agent_of(speaking, "tools", [said("tools", GOOD)], checkpointer=saver)
    await run(agent)
    changed, _ = await agent_of(
        speaking, "tools", [Reply(text='{"price": 3}')], form=Changed, checkpointer=saver
    )
    with caplog.at_level(logging.WARNING):
        assert (await changed.aget_state(CONFIG)).values["structured_response"] == GOOD
    assert "is no Changed any more" in caplog.text
    assert (await run(changed))["structured_response"] == Changed(price=3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"title": "South"}, "- begin: Field required"),
        ({**GOOD, "stops": [{"city": "Rome", "nights": 0}]}, "- stops.0.nights: Input should be greater"),
        (SHOUTED, "- title: Value error, the title shouts (given: 'SOUTH')"),
        ('{"title": "South", ', "Invalid JSON: EOF"),
    ],
)
async def test_a_wrong_answer_is_repaired_and_its_tokens_are_charged(
    saver: Any, speaking: Any, mode: str, bad: Any, told: str
) -> None:
    script = [
        said(mode, bad, prompt_tokens=100, completion_tokens=10),
        said(mode, GOOD, prompt_tokens=200, completion_tokens=20),
    ]
    agent, model = await agent_of(speaking, mode, script, checkpointer=saver)
    result = await run(agent)
    assert result["structured_response"] == TRIP
    assert (result["turn"]["input_tokens"], result["turn"]["output_tokens"]) == (300, 30)
    assert result["turn"]["step"] == 1
    correction = model.requests[1]["messages"][-1]
    assert told in correction["content"]
    assert correction["role"] == ("tool" if mode == "tools" else "user")
    assert len(result["messages"]) == 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_model_that_never_gets_it_right_ends_the_run_with_a_reason(
    process: Any, saver: Any, speaking: Any, mode: str
) -> None:
    script = [said(mode, SHOUTED, prompt_tokens=10, completion_tokens=1)] * 9
    agent, model = await agent_of(speaking, mode, script, checkpointer=saver)
    result = await run(agent)
    assert result["structured_response"] is None
    assert result["answer"]["status"] == "failed"
    assert "in the form Trip in 3 rounds" in result["answer"]["text"]
    assert "the title shouts" in result["answer"]["text"]
    assert len(model.requests) == 3
    row = await latest_run(await process.database(), "t")
    assert row is not None
    assert (row.status, row.input_tokens, row.output_tokens) == ("failed", 30, 3)


async def test_an_answer_in_words_is_asked_for_as_a_call(saver: Any, speaking: Any) -> None:
    script = ["Go to Rome.", said("tools", GOOD)]
    agent, model = await agent_of(speaking, "tools", script, checkpointer=saver)
    assert (await run(agent))["structured_response"] == TRIP
    assert "only by calling Trip" in model.requests[0]["messages"][0]["content"]
    assert [tool["function"]["name"] for tool in model.requests[0]["tools"]] == ["Trip"]
    assert "no valid Trip" in model.requests[1]["messages"][-1]["content"]


async def test_two_answers_at_once_are_sent_back(saver: Any, speaking: Any) -> None:
    both = Reply(tool_calls=(ToolCall("Trip", GOOD), ToolCall("Trip", GOOD)))
    agent, model = await agent_of(speaking, "tools", [both, said("tools", GOOD)], checkpointer=saver)
    assert (await run(agent))["structured_response"] == TRIP
    assert [message["role"] for message in model.requests[1]["messages"][-2:]] == ["tool", "tool"]
    assert "2 times" in model.requests[1]["messages"][-1]["content"]


async def test_tools_come_first_where_they_are_called_beside_the_answer(saver: Any, speaking: Any) -> None:
    sums = ToolCall("calculator", {"expression": "6*7"})
    script = [Reply(tool_calls=(ToolCall("Trip", SHOUTED), sums)), said("tools", GOOD)]
    agent, model = await agent_of(speaking, "tools", script, tools=[arithmetic()], checkpointer=saver)
    result = await run(agent)
    assert result["structured_response"] == TRIP
    assert [message.type for message in result["messages"]] == ["human", "ai", "tool", "ai"]
    assert model.requests[1]["messages"][-1]["content"] == "42"
    assert result["turn"]["step"] == 2


async def test_a_schema_goes_beside_the_tools_in_one_request(saver: Any, speaking: Any) -> None:
    script = [Reply(tool_calls=(ToolCall("calculator", {"expression": "6*7"}),)), said("json_schema", GOOD)]
    agent, model = await agent_of(speaking, "json_schema", script, tools=[arithmetic()], checkpointer=saver)
    assert (await run(agent))["structured_response"] == TRIP
    for request in model.requests:
        assert [tool["function"]["name"] for tool in request["tools"]] == ["calculator"]
        wanted = request["response_format"]["json_schema"]
        assert (wanted["name"], wanted["strict"]) == ("Trip", True)
        assert wanted["schema"]["additionalProperties"] is False


async def test_a_model_that_plans_by_schema_fills_in_the_form_from_the_result(
    saver: Any, speaking: Any
) -> None:
    script = [picks("calculator", expression="6*7"), said("schema", GOOD)]
    agent, model = await agent_of(speaking, "schema", script, tools=[arithmetic()], checkpointer=saver)
    assert (await run(agent))["structured_response"] == TRIP
    wanted = model.requests[1]["response_format"]["json_schema"]
    assert wanted["schema"]["properties"]["title"] == {"maxLength": 300, "type": "string"}
    assert wanted["schema"]["$defs"]["Stop"]["properties"]["city"]["maxLength"] == 300
    assert model.requests[1]["messages"][-1]["content"].startswith("Answer as JSON")


async def test_the_json_is_not_touched_by_its_sources(saver: Any, speaking: Any) -> None:
    class Found(BaseModel):
        fact: str

    async def search_documents(query: str) -> ToolResult:
        """Search."""
        source = Source(source="rome.md", section="", text="Rome was founded long before Paris.")
        return ToolResult(text=query, sources=(source,))

    answer = json.dumps({"fact": "Rome was founded long before Paris."})
    script = [Reply(tool_calls=(ToolCall("search_documents", {"query": "Rome"}),)), answer]
    tools = [contract(search_documents, effect="read")]
    agent, _ = await agent_of(speaking, "json_schema", script, tools=tools, form=Found, checkpointer=saver)
    result = await run(agent)
    assert result["answer"] == {"text": answer, "status": "answered", "sources": ["rome.md"]}


async def test_an_object_of_an_earlier_turn_is_not_taken_for_this_one(saver: Any, speaking: Any) -> None:
    seen: list[bool] = []

    async def look() -> str:
        """Look at the thread while the turn runs."""
        seen.append("structured_response" in (await agent.aget_state(CONFIG)).values)
        return "looked"

    script = [said("tools", GOOD), Reply(tool_calls=(ToolCall("look"),)), said("tools", GOOD)]
    agent, _ = await agent_of(
        speaking, "tools", script, tools=[contract(look, effect="read")], checkpointer=saver
    )
    await run(agent)
    assert (await run(agent, max_steps=1))["structured_response"] is None
    assert seen == [False]


async def test_a_repaired_answer_is_streamed_once_and_whole(saver: Any, speaking: Any) -> None:
    agent, _ = await agent_of(
        speaking, "json_schema", [said("json_schema", SHOUTED), said("json_schema", GOOD)], checkpointer=saver
    )
    pieces: dict[str, list[str]] = {}
    async for chunk, _meta in agent.astream(
        {"messages": [HumanMessage("Plan")]}, CONFIG, context=RunContext(), stream_mode="messages"
    ):
        if chunk.type in {"ai", "AIMessageChunk"}:
            pieces.setdefault(chunk.id, []).append(chunk.text)
    first, repaired = pieces.values()
    assert json.loads("".join(first)) == SHOUTED
    assert [json.loads(text) for text in repaired] == [GOOD]


class Fussy(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value == 1:
            raise KeyError("boom")
        return value


async def test_a_validator_that_breaks_is_one_more_mistake_to_repair(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(tool_calls=(ToolCall("Fussy", {"x": x}),)) for x in (1, 2)])
    agent = create_agent(llm=llm, tools=[], response_format=Fussy, checkpointer=saver)
    assert (await run(agent))["structured_response"] == Fussy(x=2)
    told = llm.metadata["scripted"].requests[1]["messages"][-1]["content"]
    assert "- the whole: KeyError: 'boom'" in told


class Node(BaseModel):
    children: list["Node"]


class Ways(BaseModel):
    model_config: ClassVar = {"title": "x"}
    ways: dict[str, int]


async def test_a_form_that_contains_itself_or_has_free_keys_is_asked_for(saver: Any, speaking: Any) -> None:
    for form, text, strict in ((Node, '{"children": []}', True), (Ways, '{"ways": {"a": 1}}', False)):
        agent, model = await agent_of(
            speaking, "json_schema", [Reply(text=text)], form=form, checkpointer=saver
        )
        assert (await run(agent))["structured_response"] == form.model_validate_json(text)
        assert model.requests[0]["response_format"]["json_schema"]["strict"] is strict


def test_what_is_no_form_is_refused() -> None:
    def trip() -> str:
        """Go."""
        return ""

    trip.__name__ = "Trip"
    with pytest.raises(TypeError, match="subclass"):
        create_agent(response_format=dict)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="share the name 'Trip'"):
        create_agent(response_format=Trip, tools=[trip])


async def test_the_output_schema_shows_the_form(speaking: Any) -> None:
    agent, _ = await agent_of(speaking, "tools", [])
    assert "Trip" in agent.get_output_jsonschema()["$defs"]
    assert list(agent.get_input_jsonschema()["properties"]) == ["messages"]
    assert "structured_response" not in create_agent().get_output_jsonschema()["properties"]


async def test_only_openai_itself_is_asked_by_schema_beside_tools(speaking: Any) -> None:
    openai = ChatOpenAI(api_key=SecretStr("x"), model="gpt-5-mini", base_url="https://api.openai.com/v1")
    assert (await given_model(openai)()).profile.structured_by == "json_schema"
    assert (await given_model(await speaking([]))()).profile.structured_by == "tools"
