import asyncio
import time
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from evals.scripted_model import Reply, ScriptedModel, ToolCall


def client(model: ScriptedModel, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted", max_retries=0, **options
    )


async def streamed(llm: Any, question: object = "Hi") -> AIMessageChunk:
    whole: AIMessageChunk | None = None
    async for chunk in llm.astream(question):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return whole


class Weather(BaseModel):
    """Tell the weather."""

    city: str


async def test_the_answers_come_in_the_order_of_the_script() -> None:
    async with ScriptedModel(["One.", Reply(text="Two.")]) as model:
        llm = client(model)
        assert [(await llm.ainvoke("a")).text, (await llm.ainvoke("b")).text] == ["One.", "Two."]
        assert model.unsaid == 0
        assert [r["messages"][-1]["content"] for r in model.requests] == ["a", "b"]


async def test_a_callable_answers_by_what_was_asked() -> None:
    def echo(request: dict[str, Any]) -> str:
        return str(request["messages"][-1]["content"]).upper()

    async with ScriptedModel(echo) as every, ScriptedModel(["first"], then=echo) as after:
        assert (await client(every).ainvoke("loud")).text == "LOUD"
        assert [(await client(after).ainvoke(q)).text for q in ("x", "y")] == ["first", "Y"]


async def test_a_streamed_answer_comes_in_pieces_and_ends_with_its_usage() -> None:
    text = "A longer answer,\nwith  two spaces. "
    async with ScriptedModel(
        [Reply(text=text, prompt_tokens=70, completion_tokens=8, cached_tokens=64)]
    ) as model:
        pieces = [chunk async for chunk in client(model, stream_usage=True).astream("Hi")]
        whole = pieces[0]
        for piece in pieces[1:]:
            whole += piece
        assert whole.text == text
        assert sum(bool(piece.text) for piece in pieces) > 5
        assert whole.usage_metadata is not None
        assert whole.usage_metadata["input_tokens"] == 70
        assert whole.usage_metadata["output_tokens"] == 8
        assert whole.usage_metadata.get("input_token_details") == {"cache_read": 64}
        assert whole.response_metadata["finish_reason"] == "stop"


async def test_usage_is_streamed_only_when_asked_for() -> None:
    async with ScriptedModel(["Hello."]) as model:
        assert (await streamed(client(model, stream_usage=False))).usage_metadata is None


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_calls_arrive_whole(*, stream: bool) -> None:
    calls = (
        ToolCall("Weather", {"city": "Lyon, all of it"}),
        ToolCall("Weather", {"city": "Rome"}, id="call_fixed"),
    )
    async with ScriptedModel([Reply(tool_calls=calls), Reply(text="And words.", tool_calls=calls)]) as model:
        llm = client(model).bind_tools([Weather])
        for text in ("", "And words."):
            answer = await (streamed(llm) if stream else llm.ainvoke("Hi"))
            assert answer.text == text
            assert [call["args"] for call in answer.tool_calls] == [
                {"city": "Lyon, all of it"},
                {"city": "Rome"},
            ]
            assert answer.tool_calls[1]["id"] == "call_fixed"
            assert answer.response_metadata["finish_reason"] == "tool_calls"


async def test_ids_are_fresh_each_time() -> None:
    async with ScriptedModel(lambda _: Reply(tool_calls=(ToolCall("Weather", {"city": "Rome"}),))) as model:
        llm = client(model).bind_tools([Weather])
        one, two = await llm.ainvoke("Hi"), await llm.ainvoke("Hi")
        assert one.id != two.id
        assert one.tool_calls[0]["id"] != two.tool_calls[0]["id"]


async def test_arguments_that_are_not_json_arrive_as_an_invalid_call() -> None:
    async with ScriptedModel([Reply(tool_calls=(ToolCall("Weather", '{"city": '),))]) as model:
        answer = await client(model).bind_tools([Weather]).ainvoke("Hi")
        assert isinstance(answer, AIMessage)
        assert answer.tool_calls == []
        assert answer.invalid_tool_calls[0]["args"] == '{"city": '


async def test_a_structured_answer_is_the_json_of_the_script() -> None:
    async with ScriptedModel(['{"city": "Rome"}']) as model:
        answer = await client(model).with_structured_output(Weather, method="json_schema").ainvoke("Where?")
        assert answer == Weather(city="Rome")
        assert model.requests[0]["response_format"]["type"] == "json_schema"


async def test_a_cut_answer_says_that_it_was_cut() -> None:
    async with ScriptedModel([Reply(text="I was going to", finish_reason="length")]) as model:
        assert (await client(model).ainvoke("Hi")).response_metadata["finish_reason"] == "length"


async def test_a_rate_limit_carries_its_retry_after() -> None:
    async with ScriptedModel([Reply(status=429, text="Slow down.", retry_after_s=1.5)]) as model:
        with pytest.raises(openai.RateLimitError, match="Slow down") as caught:
            await client(model).ainvoke("Hi")
        assert caught.value.response.headers["retry-after"] == "1.5"


async def test_a_failure_is_followed_by_the_next_entry_on_retry() -> None:
    async with ScriptedModel([Reply(status=500), "Better."]) as model:
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model="m", max_retries=1)
        assert (await llm.ainvoke("Hi")).text == "Better."
        assert len(model.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_malformed_body_reaches_the_client(*, stream: bool) -> None:
    async with ScriptedModel([Reply(text="Hello you there.", malformed=True)]) as model:
        llm = client(model)
        with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
            await (streamed(llm) if stream else llm.ainvoke("Hi"))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_dropped_connection_reaches_the_client(*, stream: bool) -> None:
    async with ScriptedModel([Reply(text="Hello you there.", drop_after=2)]) as model:
        llm = client(model)
        with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
            await (streamed(llm) if stream else llm.ainvoke("Hi"))


async def test_delays_are_kept() -> None:
    async with ScriptedModel([Reply(text="a b c d", delay_s=0.2, token_delay_s=0.1)]) as model:
        began = time.perf_counter()
        stamps = [time.perf_counter() - began async for piece in client(model).astream("Hi") if piece.text]
        assert stamps[0] >= 0.2
        assert stamps[-1] - stamps[0] >= 0.2  # of 0.3: a busy machine may see the first one late


async def test_an_exhausted_script_names_the_request() -> None:
    async with ScriptedModel(["Only one."]) as model:
        llm = client(model)
        await llm.ainvoke("first")
        with pytest.raises(openai.InternalServerError, match=r"request 2 has no answer.*the second question"):
            await llm.ainvoke("the second question")


TOOL_USE = AIMessage("", tool_calls=[{"name": "Weather", "args": {"city": "Rome"}, "id": "call_1"}])


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "empty array"),
        ([ToolMessage("Sunny", tool_call_id="call_1")], "must be a response to a preceding message"),
        ([TOOL_USE, HumanMessage("And?")], "did not have response messages: call_1"),
        ([TOOL_USE, ToolMessage("Sunny", tool_call_id="call_2")], "call_2"),
    ],
)
async def test_a_conversation_that_openai_refuses_is_refused(messages: list[Any], reason: str) -> None:
    async with ScriptedModel(["never said"]) as model:
        with pytest.raises(openai.BadRequestError, match=reason):
            await client(model).ainvoke(messages)
        assert model.unsaid == 1


async def test_answered_tool_calls_are_accepted() -> None:
    async with ScriptedModel(["Sunny."]) as model:
        answered = [
            HumanMessage("?"),
            TOOL_USE,
            ToolMessage("Sunny", tool_call_id="call_1"),
            HumanMessage("And?"),
        ]
        assert (await client(model).ainvoke(answered)).text == "Sunny."


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        {"model": "m"},
        {"model": "m", "messages": "x"},
        {"model": "m", "messages": [{"role": "robot"}]},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": []},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": "required"},
        {
            "model": "m",
            "messages": [{"role": "user", "content": "x"}],
            "response_format": {"type": "json_schema"},
        },
        ["not an object"],
    ],
)
async def test_a_request_that_openai_refuses_is_refused(body: object) -> None:
    async with ScriptedModel(["never said"]) as model, httpx.AsyncClient(base_url=model.base_url) as http:
        answer = await http.post("/chat/completions", json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_wrong_key_and_an_unknown_model_are_refused() -> None:
    async with ScriptedModel(["x"], api_key="right", models=["known"]) as model:
        wrong = ChatOpenAI(base_url=model.base_url, api_key=SecretStr("wrong"), model="known", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            await wrong.ainvoke("Hi")
        with pytest.raises(openai.NotFoundError, match="scripted"):
            await client(model).ainvoke("Hi")
        async with openai.AsyncOpenAI(base_url=model.base_url, api_key="right") as right:
            assert [m.id async for m in right.models.list()] == ["known"]


async def test_texts_that_share_words_have_near_embeddings() -> None:
    async with ScriptedModel(dimensions=384) as model:
        embeddings = OpenAIEmbeddings(
            base_url=model.base_url,
            api_key=SecretStr(model.api_key),
            model="m",
            check_embedding_ctx_length=False,
        )
        texts = ["The cat sat on the mat.", "A cat on a mat", "Quarterly revenue rose"]
        cat, mat, revenue = await embeddings.aembed_documents(texts)
        again = await embeddings.aembed_query(texts[0])
        assert len(cat) == 384
        assert again == cat
        assert _dot(cat, cat) == pytest.approx(1.0)
        assert _dot(cat, mat) > 0.3 > abs(_dot(cat, revenue)) + 0.1


def _dot(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("given", ["", [], ["a", ""], 7])
async def test_an_empty_embedding_input_is_refused(given: object) -> None:
    async with ScriptedModel() as model, httpx.AsyncClient(base_url=model.base_url) as http:
        assert (await http.post("/embeddings", json={"model": "m", "input": given})).status_code == 400


async def test_nothing_is_left_when_the_block_ends_in_the_middle_of_an_answer() -> None:
    before = asyncio.all_tasks()
    async with ScriptedModel([Reply(text="never", delay_s=60)]) as model:
        asked = asyncio.ensure_future(client(model).ainvoke("Hi"))
        while not model.requests:  # noqa: ASYNC110 - the server shares this loop and has no event to give
            await asyncio.sleep(0)
        port = int(model.base_url.rpartition(":")[2].removesuffix("/v1"))
    with pytest.raises(openai.APIConnectionError):
        await asked
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_many_clients_are_answered_at_once() -> None:
    async with ScriptedModel(lambda _: Reply(text="ok", delay_s=0.2)) as model:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(client(model).ainvoke("Hi"))
        assert time.perf_counter() - began < 2
        assert len(model.requests) == 20


async def test_one_connection_carries_many_requests_where_asked_to() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    async with ScriptedModel(lambda _: "ok", keep_alive=True) as model, httpx.AsyncClient() as http:
        streams = set[object]()
        for stream in (False, True, False):
            answer = await http.post(f"{model.base_url}/chat/completions", json={**body, "stream": stream})
            streams.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        assert len(streams) == 1
