"""What a model that plans by schema reads first: the tools, and questions with their calls as chat turns."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

from core.protocols import ToolSpec
from nodes.plan_schema import ANSWER, offered

_TASK = "Pick the tool for the user's last message and fill in its arguments as JSON."
_SEVERAL_TASK = (
    "Pick the tool for each request in the user's last message and fill in its arguments as JSON. Most "
    "messages are one request."
)
_ANSWER_LINE = (
    f"- {ANSWER}(): only for greetings, thanks, small talk, writing and translating; facts need a tool"
)
_ANSWER_QUESTIONS = ("Hi there!", "Write a short rhyme.", "Thanks, that helps.")
_Shot = tuple[str, list[dict[str, Any]]]


def plan_prefix(tools: Sequence[ToolSpec], *, several: bool = False) -> list[AnyMessage]:
    """Return the messages that begin every choice among `tools`: the task, then examples as chat turns.

    Args:
        tools: to choose from.
        several: a plan may hold several calls.
    """
    lines = [_line(tool, offered(tool, several=several)) for tool in tools]
    by_tool = [
        [(example.question, {"tool": tool.name, **example.arguments}) for example in tool.examples]
        for tool in tools
    ]
    plain = [(question, {"tool": ANSWER}) for question in _ANSWER_QUESTIONS]
    in_turns = chain.from_iterable(zip_longest(*by_tool, plain))
    shots: list[_Shot] = [(shot[0], [shot[1]]) for shot in in_turns if shot is not None]
    if several:
        shots[len(by_tool) + 1 : len(by_tool) + 1] = _both(by_tool)
    turns = [
        message
        for question, calls in shots
        for message in (HumanMessage(question), AIMessage(plan_text(calls, several=several)))
    ]
    task = _SEVERAL_TASK if several else _TASK
    return [SystemMessage("\n".join([task, *lines, _ANSWER_LINE])), *turns]


def plan_text(calls: Sequence[Mapping[str, Any]], *, several: bool = False) -> str:
    """Return calls in the form that `plan_schema` asks for."""
    return json.dumps({"calls": list(calls)} if several else {"call": calls[0]})


def _both(by_tool: Sequence[Sequence[tuple[str, dict[str, Any]]]]) -> list[_Shot]:
    """Return one message with two requests, made of the second examples of two tools that have as many."""
    pair = [shots[1] for shots in by_tool if len(shots) > 1][:2]
    asked = " And also: ".join(question for question, _ in pair)
    return [(asked, [call for _, call in pair])] if pair[1:] else []


def _line(tool: ToolSpec, arguments: Sequence[str]) -> str:
    described = tool.description.strip().splitlines()
    return f"- {tool.name}({', '.join(arguments)}): {described[0] if described else ''}"
