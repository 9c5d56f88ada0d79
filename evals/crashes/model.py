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
PLANS = (ALL_AT_ONCE, STEP_BY_STEP, ANOTHER_PLAN)
_STEPS = (("look", "pay"), ("pay_checked", "mail"), ("ticket", "refund"))


def speak(request: ChatRequest) -> Reply:
    """Answer by what the conversation holds: call what has not been called, then say so."""
    messages = request["messages"]
    question = next(message for message in messages if message["role"] == "user")["content"]
    called = {call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    left = [name for name in ("look", *EFFECTS) if name not in called]
    if not left:
        return Reply(text=f"All is done ({uuid.uuid4().hex[:6]}).")
    return Reply(text=_wording(), tool_calls=tuple(_call(name) for name in _next(str(question), left)))


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
