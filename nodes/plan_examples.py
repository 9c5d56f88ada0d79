"""What a model that plans by schema reads first: the tools, and questions with their calls as chat turns."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langchain_core.messages import AnyMessage, SystemMessage

from core.protocols import ToolSpec
from nodes.plan_schema import ANSWER, offered
from nodes.shots import Shot, as_chat, in_two_parts, interleaved

_TASK = "Pick the tool for the user's last message and fill in its arguments as JSON."
_SEVERAL_TASK = (
    "Pick the tool for each request in the user's last message and fill in its arguments as JSON. Most "
    "messages are one request."
)
_ANSWER_LINE = (
    f"- {ANSWER}(): only for greetings, thanks, small talk, writing and translating; facts need a tool"
)
_ANSWER_QUESTIONS = ("Hi there!", "Write a short rhyme.", "Thanks, that helps.")


def plan_prefix(tools: Sequence[ToolSpec], *, several: bool = False) -> list[AnyMessage]:
    """Return the messages that begin every choice among `tools`: the task, then examples as chat turns.

    Args:
        tools: to choose from.
        several: a plan may hold several calls.
    """
    lines = [_line(tool, offered(tool, several=several)) for tool in tools]
    by_tool: list[list[Shot]] = [
        [(example.question, [{"tool": tool.name, **example.arguments}]) for example in tool.examples]
        for tool in tools
    ]
    plain: list[Shot] = [(question, [{"tool": ANSWER}]) for question in _ANSWER_QUESTIONS]
    shots = interleaved([*by_tool, plain])
    if several:
        shots[len(by_tool) + 1 : len(by_tool) + 1] = in_two_parts(by_tool)
    turns = as_chat(shots, partial(plan_text, several=several))
    task = _SEVERAL_TASK if several else _TASK
    return [SystemMessage("\n".join([task, *lines, _ANSWER_LINE])), *turns]


def plan_text(calls: Sequence[Mapping[str, Any]], *, several: bool = False) -> str:
    """Return calls in the form that `plan_schema` asks for."""
    return json.dumps({"calls": list(calls)} if several else {"call": calls[0]})


def _line(tool: ToolSpec, arguments: Sequence[str]) -> str:
    described = tool.description.strip().splitlines()
    return f"- {tool.name}({', '.join(arguments)}): {described[0] if described else ''}"
