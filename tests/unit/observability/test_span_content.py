"""Spans hold what was asked and answered only where that is switched on, bounded, in each place's words."""

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from opentelemetry.sdk.trace import ReadableSpan
from pydantic import SecretStr

from core.settings import load_settings
from observability import names, spans
from observability.content_room import ContentRoom
from observability.span_content import answered_by, arguments, asked_of, kept_content, result
from observability.tracing import Tracing
from tests.canaries import GITHUB, PREFIX
from tests.trace_places import Place
from tests.unit.observability.test_exporting import WHOSE, tracing
from tests.unit.observability.test_exporting import place as place

CALL: Any = {"name": "pay", "args": {"to": "ada@example.org", "amount": 5}, "id": "call-1"}
ASKED: list[AnyMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("Pay ada@example.org."),
    AIMessage("", tool_calls=[CALL]),
    ToolMessage("paid 5 to ada@example.org", tool_call_id="call-1"),
]
KEYS: dict[str, Any] = {
    "langfuse_public_key": "pk",
    "langfuse_secret_key": SecretStr("sk"),
    "langsmith_api_key": SecretStr("lsv2_1"),
}
MAIL = "[EMAIL]"
USER = {"role": "user", "content": f"Pay {MAIL}."}
SYSTEM = {"role": "system", "content": "Be brief."}


def run(tracing: Tracing) -> None:
    """Write the spans of a run with one model call and one tool call."""
    with spans.invocation(tracing.tracer, "clerk", WHOSE, decide=tracing.decisions.put) as one:
        one.tells_content = tracing.tells_content("acme")
        one.belongs_to("run-1", None)
        spans.tell_question(one, "Pay ada@example.org.")
        with spans.step_span(one, "plan", {}), spans.model_span("m", "", ASKED) as spoken:
            spoken.by(AIMessage("Done.", response_metadata={"finish_reason": "stop"}))
        with spans.step_span(one, "execute", {}), spans.tool_span("pay", "call-1", CALL["args"]) as call:
            spans.end_of_call(call, "ok", result="paid 5 to ada@example.org")
        spans.tell_answer(one, "Done.", "answered")


async def sent(place: Place, url: str, folder: Path, to: str, **told: Any) -> dict[str, dict[str, Any]]:
    """Return the attributes that a place gets, by the first word of the spans' names."""
    settings = {"traces": (to,), f"{to}_endpoint": place.url, "span_content": True, **KEYS, **told}
    async with tracing(url, folder, **settings) as opened:
        run(opened)
        await opened.flush()
    [request] = place.requests
    assert "ada@" not in str(request.spans)
    return {name.split()[0]: one["attributes"] for name, one in request.spans.items()}


async def test_a_place_gets_messages_arguments_and_results_as_the_conventions_have_them(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    found = await sent(place, postgres_url, tmp_path, "otlp", content="full")
    chat = {name: json.loads(found["chat"][name]) for name in names.CONTENT if name in found["chat"]}
    assert chat == {
        names.SYSTEM_INSTRUCTIONS: [{"type": "text", "content": "Be brief."}],
        names.INPUT_MESSAGES: [
            {"role": "user", "parts": [{"type": "text", "content": f"Pay {MAIL}."}]},
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "tool_call",
                        "id": "call-1",
                        "name": "pay",
                        "arguments": {"to": MAIL, "amount": 5},
                    }
                ],
            },
            {
                "role": "tool",
                "parts": [{"type": "tool_call_response", "id": "call-1", "response": f"paid 5 to {MAIL}"}],
            },
        ],
        names.OUTPUT_MESSAGES: [
            {"role": "assistant", "parts": [{"type": "text", "content": "Done."}], "finish_reason": "stop"}
        ],
    }
    tool = found["execute_tool"]
    assert json.loads(tool[names.TOOL_ARGUMENTS]) == {"to": MAIL, "amount": 5}
    assert tool[names.TOOL_RESULT] == f"paid 5 to {MAIL}"
    agent = found["invoke_agent"]
    assert json.loads(agent[names.INPUT_MESSAGES])[0]["parts"][0]["content"] == f"Pay {MAIL}."
    assert json.loads(agent[names.OUTPUT_MESSAGES])[0]["parts"][0]["content"] == "Done."


async def test_phoenix_gets_input_output_messages_and_parameters(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    found = await sent(place, postgres_url, tmp_path, "phoenix")
    chat, at = found["chat"], "llm.input_messages"
    assert json.loads(chat["input.value"])[:2] == [SYSTEM, USER]
    assert (chat["input.mime_type"], chat["output.mime_type"]) == ("application/json", "application/json")
    told = [(chat[f"{at}.{n}.message.role"], chat[f"{at}.{n}.message.content"]) for n in range(4)]
    assert told == [
        ("system", "Be brief."),
        ("user", f"Pay {MAIL}."),
        ("assistant", ""),
        ("tool", f"paid 5 to {MAIL}"),
    ]
    called = f"{at}.2.message.tool_calls.0.tool_call"
    assert (chat[f"{called}.id"], chat[f"{called}.function.name"]) == ("call-1", "pay")
    assert json.loads(chat[f"{called}.function.arguments"]) == {"to": MAIL, "amount": 5}
    assert chat["llm.output_messages.0.message.content"] == "Done."
    tool = found["execute_tool"]
    assert json.loads(tool["tool.parameters"]) == json.loads(tool["input.value"]) == {"to": MAIL, "amount": 5}
    assert (tool["output.value"], tool["output.mime_type"]) == (f"paid 5 to {MAIL}", "text/plain")
    assert json.loads(found["invoke_agent"]["input.value"]) == [USER]


async def test_langfuse_gets_input_and_output_of_observations_and_of_the_trace(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    found = await sent(place, postgres_url, tmp_path, "langfuse")
    assert json.loads(found["chat"]["langfuse.observation.input"])[:2] == [SYSTEM, USER]
    answered = [{"role": "assistant", "content": "Done."}]
    assert json.loads(found["chat"]["langfuse.observation.output"]) == answered
    assert found["execute_tool"]["langfuse.observation.output"] == f"paid 5 to {MAIL}"
    whole = found["invoke_agent"]
    assert json.loads(whole["langfuse.trace.input"]) == [USER]
    assert whole["langfuse.trace.output"] == whole["langfuse.observation.output"]
    assert json.loads(whole["langfuse.trace.output"]) == answered


async def test_langsmith_gets_prompt_and_completion_as_objects(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    found = await sent(place, postgres_url, tmp_path, "langsmith")
    assert json.loads(found["chat"]["gen_ai.prompt"])["messages"][:2] == [SYSTEM, USER]
    done = {"messages": [{"role": "assistant", "content": "Done."}]}
    assert json.loads(found["chat"]["gen_ai.completion"]) == done
    tool = found["execute_tool"]
    assert json.loads(tool["gen_ai.prompt"]) == {"to": MAIL, "amount": 5}
    assert json.loads(tool["gen_ai.completion"]) == {"output": f"paid 5 to {MAIL}"}
    assert json.loads(found["invoke_agent"]["gen_ai.prompt"]) == {"messages": [USER]}


@pytest.mark.parametrize(
    "told", [{"span_content": False}, {"content": "off"}, {"content_of": {"acme": "off"}}]
)
async def test_spans_hold_nothing_of_it_where_it_is_not_switched_on_or_content_is_off(
    place: Place, postgres_url: str, tmp_path: Path, told: dict[str, Any]
) -> None:
    found = await sent(place, postgres_url, tmp_path, "phoenix", **told)
    held = {name for attributes in found.values() for name in attributes}
    assert not held & {*names.CONTENT, names.CONTENT_LEFT_OUT, "input.value", "output.value"}
    assert not [name for name in held if "messages" in name]


def test_long_texts_are_cut_with_what_is_left_out_and_half_a_secret_is_not_shown() -> None:
    text = "x" * 7_980 + " " + GITHUB + " y" * 5_000
    for told, name in (
        (asked_of([HumanMessage(text)]), names.INPUT_MESSAGES),
        (answered_by(AIMessage(text), "stop"), names.OUTPUT_MESSAGES),
        (arguments({"text": text}), names.TOOL_ARGUMENTS),
        (result(text), names.TOOL_RESULT),
    ):
        kept = kept_content(told, "redacted")
        assert PREFIX not in kept[name]
        assert "characters left out]" in kept[name]
        assert len(kept[name]) < 8_200
        assert kept_content(kept, "redacted") == kept
        assert PREFIX in kept_content(told, "full")[name]
    assert kept_content(result("z" * 9_000), "full") == {
        names.TOOL_RESULT: "z" * 8_000 + "… [1,000 characters left out]"
    }


def test_a_span_holds_the_newest_messages_and_says_how_many_are_left_out() -> None:
    messages = [SystemMessage("s" * 20_000), *(HumanMessage(f"{n} " + "m" * 4_000) for n in range(50))]
    told = asked_of(messages)
    kept = kept_content(told, "full")
    shown = json.loads(kept[names.INPUT_MESSAGES])
    assert [one["parts"][0]["content"][:2] for one in shown] == ["47", "48", "49"]
    assert told[names.CONTENT_LEFT_OUT] == "47 earlier messages"
    assert sum(map(len, kept.values())) < 25_000
    assert sum(len(str(one)) for one in told.values()) < 26_000


def test_a_message_of_many_calls_or_blocks_is_bounded_as_a_whole() -> None:
    calls: Any = [{"name": "n" * 9_999, "args": {"a": "b" * 9_000}, "id": "i"} for _ in range(300)]
    blocks: Any = [{"type": "image_url", "image_url": {"url": "data:" + "p" * 99_999}}] * 3
    told = asked_of([AIMessage(blocks, tool_calls=calls)])[names.INPUT_MESSAGES]
    assert len(told) < 60_000
    assert "[image_url left out]" in told


async def test_what_waits_is_counted_until_it_is_delivered(postgres_url: str, tmp_path: Path) -> None:
    async with tracing(postgres_url, tmp_path, span_content=True) as opened:
        run(opened)
        assert opened.room.held > 1_000
        await opened.flush()
        assert opened.room.held == 0


def test_spans_beyond_the_room_for_content_go_without(caplog: pytest.LogCaptureFixture) -> None:
    room, told = ContentRoom(room=15_000), result("z" * 8_000)
    first, second = (ReadableSpan("pay", attributes={names.TOOL: "pay", **told}) for _ in range(2))
    assert room.taken_in(first) is first
    bare = room.taken_in(second)
    assert bare.attributes == {names.TOOL: "pay", names.CONTENT_LEFT_OUT: "all, since there was no room"}
    assert (bare.name, room.left_out) == ("pay", 1)
    assert "left out of spans" in caplog.text
    del first
    assert room.held == 0
    assert room.taken_in(second) is second


@pytest.mark.parametrize(
    ("told", "held"),
    [("true", True), ("SPAN_ONLY", True), ("span_and_event", True), ("NO_CONTENT", False), ("", False)],
)
def test_the_switch_of_the_field_is_taken_too(
    monkeypatch: pytest.MonkeyPatch, told: str, *, held: bool
) -> None:
    assert not load_settings().span_content
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", told)
    assert load_settings().span_content == held
    monkeypatch.setenv("BORING_SPAN_CONTENT", "1")
    assert load_settings().span_content


def test_half_a_character_is_told_by_a_mark() -> None:
    [told] = answered_by(AIMessage("Fine \ud83d."), "stop").values()
    assert json.loads(told)[0]["parts"] == [{"type": "text", "content": "Fine ?."}]
    [told] = arguments({"half \ud83d": "nul\0"}).values()
    assert json.loads(told) == {"half ?": "nul\ufffd"}
