"""A conversation as text, one line for each thing said or done, to be compared with what it should be."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage


def transcript(messages: Sequence[AnyMessage]) -> str:
    """Return the conversation without ids, which differ from run to run."""
    return "\n".join(line for message in messages for line in _lines(message))


def _lines(message: AnyMessage) -> list[str]:
    text = message.text.replace("\n", " / ")
    if isinstance(message, HumanMessage):
        return [f"user: {text}"]
    if isinstance(message, ToolMessage):
        return [f"  {message.name} {'failed' if message.status == 'error' else 'says'}: {text}"]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    given = [", ".join(f"{name}={value}" for name, value in call["args"].items()) for call in calls]
    asked = [f"  -> {call['name']} {values}" for call, values in zip(calls, given, strict=True)]
    return asked + ([f"agent: {text}"] if text else [])
