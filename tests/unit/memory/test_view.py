"""What a model sees of a conversation."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from core.protocols import ModelProfile
from memory.buffer import turn_start
from memory.view import ESTIMATED, REFERRED_CHARS, estimated, learned_scale, room_for, view_of

PROFILE = ModelProfile("small", context_tokens=4000, max_tokens=500)


def turn(number: int, *, results: tuple[int, ...] = (), words: int = 5) -> list[AnyMessage]:
    asked = [HumanMessage(f"question {number} " + "word " * words, id=f"q{number}")]
    calls: list[AnyMessage] = []
    for place, chars in enumerate(results):
        call_id = f"call_{number:06x}{place:06x}{'0' * 20}"
        call: Any = {"name": "search", "args": {"place": place}, "id": call_id, "type": "tool_call"}
        calls += [AIMessage("", tool_calls=[call]), ToolMessage("x" * chars, tool_call_id=call_id)]
    return [*asked, *calls, AIMessage(f"answer {number}", id=f"a{number}")]


def running(messages: list[AnyMessage]) -> list[AnyMessage]:
    return messages[:-1]


def test_a_short_conversation_is_seen_whole() -> None:
    messages = running([*turn(1, results=(3000,)), *turn(2), *turn(3)])
    view = view_of(messages, room=100_000)
    assert view.messages == messages
    assert (view.left_out, view.referred) == (0, ())


def test_a_long_conversation_loses_its_oldest_turns_as_wholes() -> None:
    messages = running([message for n in range(50) for message in turn(n, words=100)])
    view = view_of(messages, room=room_for(PROFILE))
    assert isinstance(view.messages[0], HumanMessage)
    assert view.messages == messages[-len(view.messages) :]
    assert 1 < len(view.messages) < len(messages) == len(view.messages) + view.left_out


def test_long_results_give_way_before_turns_do_and_say_how_they_are_opened() -> None:
    messages = running([*turn(1, results=(6000,)), *turn(2, results=(6000,)), *turn(3)])
    view = view_of(messages, room=1000, can_open=True)
    assert view.left_out == 0
    assert len(view.referred) == 2
    shown = [one.text for one in view.messages if isinstance(one, ToolMessage)]
    assert "5800 of 6000 characters are not shown here. Read on with open_result(" in shown[0]
    assert "call='000001000000', start=200" in shown[0]
    assert "open_result" not in view_of(messages, room=1000).messages[2].text


def test_of_the_running_turn_the_newest_results_stay_longest() -> None:
    messages = running(turn(1, results=(6000, 6000, 6000)))
    view = view_of(messages, room=2000)
    lengths = [len(one.text) for one in view.messages if isinstance(one, ToolMessage)]
    assert lengths[2] == 6000
    assert max(lengths[:2]) < REFERRED_CHARS


def test_a_running_turn_that_is_too_long_by_itself_is_cut_in_its_results_only() -> None:
    messages = running(turn(1, results=(50_000,), words=50))
    view = view_of(messages, room=2000, can_open=True)
    assert view.messages[0] == messages[0]
    assert view.tokens <= 2000
    assert "start=" in view.messages[2].text


def test_a_request_is_never_cut() -> None:
    messages = running([*turn(1), *turn(2, words=5000)])
    assert view_of(messages, room=100).messages == messages[-1:]


TURNS = st.lists(
    st.tuples(st.lists(st.integers(0, 9000), max_size=3), st.integers(1, 300)), min_size=1, max_size=8
)


@given(TURNS, st.integers(50, 6000), st.floats(0.5, 3.0))
def test_calls_keep_their_results_and_the_request_stays(
    turns: list[tuple[list[int], int]], room: int, scale: float
) -> None:
    messages = running(
        [
            one
            for number, (results, words) in enumerate(turns)
            for one in turn(number, results=tuple(results), words=words)
        ]
    )
    view = view_of(messages, room=room, scale=scale)
    seen = view.messages
    assert isinstance(seen[0], HumanMessage)
    assert messages[turn_start(messages)] in seen
    for place, message in enumerate(seen):
        if isinstance(message, AIMessage) and message.tool_calls:
            after = seen[place + 1]
            assert isinstance(after, ToolMessage)
            assert after.tool_call_id == message.tool_calls[0]["id"]
    if view.left_out < turn_start(messages):
        assert view.tokens <= room


def test_the_room_is_what_the_prompt_and_the_tools_leave() -> None:
    assert room_for(PROFILE) == 2500
    assert room_for(PROFILE, overhead=2000) == 1300
    assert room_for(PROFILE, overhead=9000) == 1


def test_what_a_model_counted_corrects_the_next_estimates() -> None:
    usage: Any = {"input_tokens": 300, "output_tokens": 5, "total_tokens": 305}
    told = {ESTIMATED: {"model": "small", "tokens": 200}}
    answer = AIMessage("Yes.", usage_metadata=usage, response_metadata=told)
    assert learned_scale([HumanMessage("Hi"), answer], "small") == 1.5
    assert learned_scale([HumanMessage("Hi"), answer], "other") == 1.0
    assert learned_scale([HumanMessage("Hi")], "small") == 1.0
    assert estimated([HumanMessage("word " * 100)]) > 100


def test_what_was_said_before_the_first_request_is_seen() -> None:
    messages: list[AnyMessage] = [AIMessage("Your ticket is 4711."), HumanMessage("Which number?")]
    assert view_of(messages, room=1000).messages == messages


def test_no_reference_is_offered_that_can_not_be_opened() -> None:
    call: Any = {"name": "search", "args": {}, "id": "toolu_01AbCdEf", "type": "tool_call"}
    result = ToolMessage("x" * 5000, tool_call_id="toolu_01AbCdEf")
    messages = [HumanMessage("a"), AIMessage("", tool_calls=[call]), result, HumanMessage("b")]
    shown = view_of(messages, room=300, can_open=True).messages
    assert not any("open_result" in one.text for one in shown)
