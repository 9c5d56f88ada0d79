"""The message buffer: where turns begin, which calls have no result, and what was said before."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall, ToolMessage

_CUT_OFF = "This call was cut off before it was made, or its result is not known."
_EARLIER = "Earlier in this conversation:"
_LAST = "\n\nThe last message: "
MAX_EARLIER_TURNS = 3
MAX_EARLIER_CHARS = 300
"""How much of a conversation goes with words that are read alone: of each message no more than that."""


def turn_start(messages: Sequence[AnyMessage]) -> int:
    """Return the index of the user's message that began the running turn, 0 where there is none."""
    starts = [index for index, message in enumerate(messages) if isinstance(message, HumanMessage)]
    return starts[-1] if starts else 0


def with_earlier_turns(text: str, earlier: Sequence[AnyMessage]) -> str:
    """Return words with what was said last before them, for a reader that sees no other message.

    Args:
        text: the words.
        earlier: the conversation before them, oldest first.
    """
    said = [
        f"{'User' if isinstance(message, HumanMessage) else 'Assistant'}: {message.text[:MAX_EARLIER_CHARS]}"
        for message in earlier
        if isinstance(message, (HumanMessage, AIMessage)) and message.text
    ][-2 * MAX_EARLIER_TURNS :]
    if not said:
        return text
    return f"{_EARLIER}\n" + "\n".join(said) + f"{_LAST}{text}"


def without_earlier_turns(text: str) -> str:
    """Return the words that `with_earlier_turns` was given."""
    return text.rpartition(_LAST)[2] if text.startswith(_EARLIER) else text


def unanswered_calls(messages: Sequence[AnyMessage]) -> list[ToolCall]:
    """Return the calls of the newest plan that have no result yet."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage):
            after = messages[index + 1 :]
            results = {one.tool_call_id for one in after if isinstance(one, ToolMessage)}
            return [call for call in message.tool_calls if call["id"] not in results]
        if isinstance(message, HumanMessage):
            break
    return []


def answered(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Return the messages with a result right after every tool call: endpoints refuse anything else.

    A call has none when its run was cut off and the user asked something else instead of resuming it, and
    its result comes late when it was looked up afterwards.
    """
    whole: list[AnyMessage] = []
    results = {message.tool_call_id: message for message in messages if isinstance(message, ToolMessage)}
    for message in messages:
        if isinstance(message, ToolMessage):
            continue
        whole.append(message)
        if isinstance(message, AIMessage):
            whole += [results.get(call["id"] or "", _cut_off(call)) for call in message.tool_calls]
    return whole


def calls_without_result(messages: Sequence[AnyMessage]) -> list[ToolCall]:
    """Return every call of the conversation that has no result."""
    results = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    return [call for call in calls if call["id"] not in results]


def _cut_off(call: ToolCall) -> ToolMessage:
    return ToolMessage(_CUT_OFF, tool_call_id=call["id"], name=call["name"], status="error")
