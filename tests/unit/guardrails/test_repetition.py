from collections.abc import Sequence

import pytest
from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

from guardrails.repetition import MAX_SAME_CALLS, repeated


def called(*results: tuple[str, bool]) -> Sequence[AnyMessage]:
    messages: list[AnyMessage] = []
    for number, (text, failed) in enumerate(results):
        call = ToolCall(name="look", args={"x": 1}, id=f"c{number}")
        messages.append(AIMessage("", tool_calls=[call]))
        status = "error" if failed else "success"
        messages.append(ToolMessage(text, tool_call_id=f"c{number}", status=status))
    return messages


def test_failures_end_the_loop_whatever_their_texts_say() -> None:
    results = [(f"failed, request {number}", True) for number in range(MAX_SAME_CALLS)]
    stop = repeated(called(*results))
    assert stop is not None
    assert stop["message"].startswith(f"I stopped: I called look {MAX_SAME_CALLS} times")
    assert repeated(called(*results[:-1])) is None


@pytest.mark.parametrize(("texts", "stops"), [(["a", "b", "c"], False), (["a", "a", "a"], True)])
def test_successes_end_the_loop_only_with_one_result(texts: list[str], *, stops: bool) -> None:
    assert (repeated(called(*[(text, False) for text in texts])) is not None) == stops


def test_failures_and_successes_are_counted_apart() -> None:
    assert repeated(called(("a", False), ("failed", True), ("a", False), ("failed again", True))) is None
