"""The router's `plan`: hands a request to one specialist or, in parts, to several; asks back when unsure."""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.runtime import Runtime

from core.context import RunContext
from core.state import AgentState, Stop, Turn
from guardrails.routing import Rule, first_rule
from memory.buffer import turn_start, with_earlier_turns
from nodes.assignments import attached_to
from nodes.joining import LEFT_OUT, joined
from nodes.routing_form import NOBODY, Part
from nodes.threads import Node, namespace_of
from observability.noting import Once, note_decision

MAX_CHOICES: Final = 2
"""How often a request is given to a specialist: the first choice, and one more where that one declines."""
_WORD: Final = re.compile(r"\w+")
ASKED_BACK: Final = "asked_back"
"""Under which a router's message says that it is a question to the user."""
Planning = Callable[..., Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Routing:
    """How a router decides.

    Attributes:
        described: what each specialist is for, by name.
        rules: tried in order before the model.
        below: a confidence under it counts as unsure, 0 to 1.
        unsure: what is done then: the user is asked, or `general` takes the request.
        general: the specialist that takes what belongs nowhere; None where there is none.
    """

    described: Mapping[str, str]
    rules: Sequence[Rule] = ()
    below: float = 0.6
    unsure: Literal["ask", "general"] = "ask"
    general: str | None = None


def routing(how: Routing, decide: Planning) -> Node:
    """Return the node `plan` of a router.

    Args:
        how: it decides.
        decide: a `plan` whose answer is the JSON text of a decision, see `decision_format`.
    """

    async def route(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        messages = state["messages"]
        in_turn = messages[turn_start(messages) :]
        results = [one for one in in_turn if isinstance(one, ToolMessage)]
        declined = [one for one in results if one.artifact["outcome"] == "declined"]
        choices = sum(isinstance(one, AIMessage) for one in in_turn)
        again = [one for one in declined if one.artifact["step"] == state["turn"]["step"]]
        if results and not (again and choices < MAX_CHOICES):
            return joined(in_turn, results)
        update, parts = await _decided(how, decide, state, runtime, again)
        if parts is None:
            return update
        turn = cast("Turn", update["turn"])
        _note(how, parts, turn["step"], runtime)
        may_ask = not results and not _was_asked_back(messages)
        given = _given(how, parts, may_ask=may_ask)
        if any(given):
            return {"messages": [_handed_to(given, parts)], "turn": turn}
        if may_ask:
            return {"messages": [_question(how, parts)], "turn": turn}
        return {**(joined(in_turn, results) if results else {"stop": _nobody(parts)}), "turn": turn}

    return route


async def _decided(
    how: Routing,
    decide: Planning,
    state: AgentState,
    runtime: Runtime[RunContext],
    again: Sequence[ToolMessage],
) -> tuple[dict[str, Any], list[Part] | None]:
    """Return who gets what, by a rule or by the model; None where the turn has to end."""
    messages = state["messages"]
    request = messages[turn_start(messages)]
    turn = state["turn"]
    # The answer to a question of the router means something only with what was asked before it.
    by_rules = not again and not _was_asked_back(messages)
    if by_rules and (ruled := first_rule(how.rules, request.text, attachments_of(request))) is not None:
        part = Part(ruled[0], 1.0, ruled[1], request.text, decided_by="rule")
        return {"turn": {**turn, "step": turn["step"] + 1}}, [part]
    asked: list[AnyMessage] = list(messages[: turn_start(messages) + 1])
    # Of several parts nobody can tell which one a new part stands for; the model knows who declined what.
    backers = (again[0].artifact["tool"],) if len(again) == 1 else ()
    if again:
        asked[-1] = HumanMessage(_handed_back(again), id=request.id)
    update = await decide({**state, "messages": asked}, runtime)
    if update.get("stop"):
        return update, None
    decision = update["messages"][0]
    if decision.tool_calls:
        return {"turn": update["turn"], "stop": _not_decided(decision)}, None
    told = [Part(**one, handed_back_by=backers) for one in json.loads(decision.text)["parts"]]
    parts = [replace(one, request=_whole(one.request, asked, again, alone=len(told) == 1)) for one in told]
    return {"turn": update["turn"]}, parts


def _not_decided(decision: AIMessage) -> Stop:
    called = decision.tool_calls[0]["name"]
    message = f"I could not find out who this is for: the model called {called!r} in place of deciding."
    return Stop(reason="failed", message=message)


def _whole(
    request: str, conversation: Sequence[AnyMessage], again: Sequence[ToolMessage], *, alone: bool
) -> str:
    """Return a request that can be understood alone: one not rewritten goes with what was said before.

    Args:
        request: as the model wrote it.
        conversation: what it read, the words that it decides upon last.
        again: what was handed back; those who handed it back were asked as a whole.
        alone: it is the only part.
    """
    if not _is_said_in(request, conversation[-1].text):
        return request
    asked = [one.artifact["handed_on"]["asked"] for one in again]
    if asked:
        return next((one for one in asked if _is_said_in(request, one)), "\n\n".join(asked))
    return with_earlier_turns(conversation[-1].text if alone else request, conversation[:-1])


def _is_said_in(request: str, text: str) -> bool:
    """Tell whether the words of a request stand in a text one after the other, whatever is between them."""
    words, said = (f" {' '.join(_WORD.findall(one.lower()))} " for one in (request, text))
    return words in said


def _handed_back(again: Sequence[ToolMessage]) -> str:
    """Return the request once more, with who would not take it and why."""
    lines = [
        f"{one.artifact['handed_on']['asked']}\n"
        f"({one.artifact['tool']} is not for this: {one.artifact['handed_on']['text']} Choose another one.)"
        for one in again
    ]
    return "\n\n".join(lines)


def _given(how: Routing, parts: Sequence[Part], *, may_ask: bool) -> list[Part | None]:
    """Return who gets each part, in doubt the general specialist, or None for nobody; [] to ask the user."""
    given: list[Part | None] = []
    for part in parts:
        fits = part.specialist != NOBODY and part.specialist not in part.handed_back_by
        if fits and (part.confidence >= how.below or not (may_ask or how.general)):
            given.append(part)
        elif how.general is not None and (how.unsure == "general" or not may_ask):
            again = how.general in part.handed_back_by
            given.append(None if again else replace(part, specialist=how.general))
        elif may_ask:
            return []
        else:
            given.append(None)
    return given


def _handed_to(given: Sequence[Part | None], parts: Sequence[Part]) -> AIMessage:
    calls = [
        {"name": part.specialist, "args": {"request": part.request}, "id": f"call_{uuid.uuid4().hex}"}
        for part in given
        if part is not None
    ]
    left_out = [part.request for part, whose in zip(parts, given, strict=True) if whose is None]
    kept = {LEFT_OUT: left_out} if left_out else {}
    return AIMessage(content="", tool_calls=calls, id=f"msg_{uuid.uuid4().hex}", additional_kwargs=kept)


def _question(how: Routing, parts: Sequence[Part]) -> AIMessage:
    """Return what the user is asked, by what the candidates are for."""
    named = dict.fromkeys(part.specialist for part in parts if part.specialist != NOBODY)
    offered = list(named) if len(named) > 1 else list(how.described)
    lines = [f"- {name}: {how.described[name].splitlines()[0]}" for name in offered]
    text = "I am not sure who can help you best. Is it one of these, or can you say more?\n" + "\n".join(
        lines
    )
    return AIMessage(content=text, id=f"msg_{uuid.uuid4().hex}", additional_kwargs={ASKED_BACK: True})


def _was_asked_back(messages: Sequence[AnyMessage]) -> bool:
    """Tell whether the user's message answers a question of the router: it is not asked twice running."""
    before = messages[: turn_start(messages)]
    return bool(before) and bool(before[-1].additional_kwargs.get(ASKED_BACK))


def _nobody(parts: Sequence[Part]) -> Stop:
    return Stop(reason="declined", message=f"Nobody here can help with that: {parts[0].reason}")


def _note(how: Routing, parts: Sequence[Part], step: int, runtime: Runtime[RunContext]) -> None:
    for number, part in enumerate(parts):
        note_decision(
            "route",
            part.specialist,
            step=step,
            by=part.decided_by,
            reason=part.reason,
            candidates=list(how.described),
            confidence=part.confidence,
            once=Once(namespace_of(runtime), number),
        )


def attachments_of(message: AnyMessage) -> list[str]:
    """Return the media types of what is attached to a message, as its content blocks tell them."""
    kinds = [
        str(block.get("mime_type") or f"{block.get('type', '').removesuffix('_url')}/*")
        for block in attached_to(message)
    ]
    return [kind for kind in kinds if kind != "/*"]
