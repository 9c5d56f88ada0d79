"""A model that never says the same thing twice: other ids, wording, order of arguments, even plans."""

import json
import random
import uuid
from typing import Any

from evals.crashes.world import EFFECTS
from evals.scripted_reply import ChatRequest, Reply, ToolCall

ALL_AT_ONCE = "all at once"
STEP_BY_STEP = "step by step"
ANOTHER_PLAN = "another plan each time"
BY_TEAMS = "by teams"
PLANS = (ALL_AT_ONCE, STEP_BY_STEP, ANOTHER_PLAN, BY_TEAMS)
TEAMS = {"money": ("pay", "pay_checked", "refund"), "desk": ("look", "mail", "ticket")}
"""The teams of a supervisor, by what each can do."""
_STEPS = (("look", "pay"), ("pay_checked", "mail"), ("ticket", "refund"))


def speak(request: ChatRequest) -> Reply:
    """Answer by what the conversation holds: call what has not been called, then say so."""
    messages, offered = request["messages"], {tool["function"]["name"] for tool in request.get("tools", ())}
    question = next(message for message in messages if message["role"] == "user")["content"]
    called = {call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    if offered >= set(TEAMS):
        return _led([name for name in TEAMS if name not in called])
    left = [name for name in ("look", *EFFECTS) if name in offered - called]
    if not left:
        return Reply(text=f"All is done ({uuid.uuid4().hex[:6]}).")
    return Reply(text=_wording(), tool_calls=tuple(_call(name) for name in _next(str(question), left)))


def _led(left: list[str]) -> Reply:
    """Answer as a supervisor: hand each team its task, in any order, then say that all is done."""
    if not left:
        return Reply(text=f"The teams did it ({uuid.uuid4().hex[:6]}).")
    tasks = [
        ToolCall(name, {"task": _wording()[:40], "goal": f"{_wording()}, {ALL_AT_ONCE}."}, uuid.uuid4().hex)
        for name in random.sample(left, len(left))
    ]
    return Reply(text=_wording(), tool_calls=tuple(tasks))


def _next(question: str, left: list[str]) -> list[str]:
    if ANOTHER_PLAN in question:
        return random.sample(left, random.randint(1, len(left)))  # noqa: S311 - varies, keeps no secret
    if ALL_AT_ONCE in question:
        return left
    return next([name for name in step if name in left] for step in _STEPS if set(step) & set(left))


def _call(name: str) -> ToolCall:
    arguments: dict[str, Any] = {"order": 7}
    if name != "look":
        arguments["note"] = _wording()
    shuffled = random.sample(sorted(arguments), len(arguments))
    return ToolCall(name, json.dumps({key: arguments[key] for key in shuffled}), id=uuid.uuid4().hex)


def _wording() -> str:
    return f"{random.choice(['Paying', 'Settling', 'Handling'])} it, {uuid.uuid4().hex[:8]}"  # noqa: S311 - as above
