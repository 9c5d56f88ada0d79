"""The router's `plan`: hands a request to one specialist or, in parts, to several; asks back when unsure."""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field, create_model

from core.context import RunContext
from core.process import current_process
from core.state import AgentState, Stop, StopReason, Turn
from guardrails.routing import Rule, first_rule
from memory.buffer import turn_start
from nodes.assignments import MAX_WIDTH, attached_to
from nodes.threads import Node, thread_of
from observability.decisions import Decision, record_decision

NOBODY: Final = "nobody"
"""What a model says of a request that belongs to none of the specialists."""
MAX_CHOICES: Final = 2
"""How often a request is given to a specialist: the first choice, and one more where that one declines."""
MAX_TITLE_CHARS: Final = 80
_WORD: Final = re.compile(r"\w{3,}")
ASKED_BACK: Final = "asked_back"
"""Under which a router's message says that it is a question to the user."""
LEFT_OUT: Final = "left_out"
"""Under which a router's message holds the parts of a request that are for nobody."""
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


@dataclass(frozen=True, slots=True)
class Part:
    """A request, or a part of one, and who gets it."""

    specialist: str
    confidence: float
    reason: str
    request: str
    decided_by: str = "model"
    handed_back_by: tuple[str, ...] = field(default=())


def decision_format(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of a decision among the named specialists."""
    specialist: Any = Literal[(*names, NOBODY)]  # pyright: ignore[reportInvalidTypeForm] - names are known at run time
    part = create_model(
        "Part",
        __config__=ConfigDict(extra="forbid"),
        specialist=(specialist, Field(description="Who is for it.")),
        confidence=(float, Field(ge=0, le=1, description="How sure you are, from 0 to 1.")),
        reason=(str, Field(max_length=160, description="Why this specialist, in a few words.")),
        request=(str, Field(min_length=1, max_length=2000, description="The request, whole in itself.")),
    )
    several: Any = list[part]  # pyright: ignore[reportInvalidTypeForm] - made above
    return create_model(
        "Decision",
        __config__=ConfigDict(extra="forbid"),
        __doc__="Who is to answer the user's last message.",
        parts=(
            several,
            Field(min_length=1, max_length=3, description="More than one only for several requests."),
        ),
    )


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
            return _joined(in_turn, results)
        update, parts = await _decided(how, decide, state, runtime, again)
        if parts is None:
            return update
        turn = cast("Turn", update["turn"])
        await _record(how, parts, turn, thread_of(runtime))
        may_ask = not results and not _was_asked_back(messages)
        if sure := _sure(how, parts, may_ask=may_ask):
            return {"messages": [_handed_to(sure, parts)], "turn": turn}
        if may_ask:
            return {"messages": [_question(how, parts)], "turn": turn}
        return {**(_joined(in_turn, results) if results else {"stop": _nobody(parts)}), "turn": turn}

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
    told = json.loads(update["messages"][0].text)
    parts = [Part(**one, handed_back_by=backers) for one in told["parts"]]
    if len(parts) == 1 and _is_lost(parts[0].request, asked):
        parts = [replace(parts[0], request=asked[-1].text)]
    return {"turn": update["turn"]}, parts


def _is_lost(request: str, conversation: Sequence[AnyMessage]) -> bool:
    """Tell whether a model wrote something else in the place of the request: no word of it was said."""
    said = {word for message in conversation for word in _WORD.findall(message.text.lower())}
    return not said & set(_WORD.findall(request.lower()))


def _handed_back(again: Sequence[ToolMessage]) -> str:
    """Return the request once more, with who would not take it and why."""
    lines = [
        f"{one.artifact['handed_on']['asked']}\n"
        f"({one.artifact['tool']} is not for this: {one.artifact['handed_on']['text']} Choose another one.)"
        for one in again
    ]
    return "\n\n".join(lines)


def _sure(how: Routing, parts: Sequence[Part], *, may_ask: bool) -> list[Part]:
    """Return the parts with those in doubt given to the general specialist; nothing, to ask the user."""
    given: list[Part] = []
    for part in parts[:MAX_WIDTH]:
        fits = part.specialist != NOBODY and part.specialist not in part.handed_back_by
        if fits and (part.confidence >= how.below or not (may_ask or how.general)):
            given.append(part)
        elif how.general is not None and (how.unsure == "general" or not may_ask):
            if how.general not in part.handed_back_by:
                given.append(Part(how.general, part.confidence, part.reason, part.request, part.decided_by))
        elif may_ask:
            return []
    return given


def _handed_to(parts: Sequence[Part], asked: Sequence[Part]) -> AIMessage:
    calls = [
        {"name": part.specialist, "args": {"request": part.request}, "id": f"call_{uuid.uuid4().hex}"}
        for part in parts
    ]
    given = {part.request for part in parts}
    left_out = [part.request for part in asked if part.request not in given]
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


def _joined(in_turn: Sequence[AnyMessage], results: Sequence[ToolMessage]) -> dict[str, Any]:
    """Return the answer made of what the specialists said, with what nobody is for; of what failed, why."""
    last = {one.artifact["handed_on"]["asked"]: one for one in results if "handed_on" in one.artifact}
    said = [one for one in last.values() if one.artifact["outcome"] == "ok"]
    if not said:
        return {"stop": _failed(results)}
    several = len(last) > 1
    parts = [f"**{_title(one)}**\n\n{one.text}" if several else one.text for one in said]
    left_out = [text for one in in_turn for text in one.additional_kwargs.get(LEFT_OUT, ())]
    parts += [f"Nobody here can help with: {text}" for text in left_out]
    return {"messages": [AIMessage("\n\n".join(parts), id=f"msg_{uuid.uuid4().hex}")]}


def _nobody(parts: Sequence[Part]) -> Stop:
    return Stop(reason="declined", message=f"Nobody here can help with that: {parts[0].reason}")


def _title(result: ToolMessage) -> str:
    line = " ".join(str(result.artifact["handed_on"]["asked"]).split())
    return line if len(line) <= MAX_TITLE_CHARS else f"{line[: MAX_TITLE_CHARS - 1]}…"


def _failed(results: Sequence[ToolMessage]) -> Stop:
    last = results[-1]
    told = last.artifact.get("handed_on")
    status: StopReason = told["status"] if told else "failed"
    text = told["text"] if told else last.text
    if status == "declined":
        return Stop(reason="declined", message=f"Nobody here can help with that: {text}")
    return Stop(reason=status, message=text)


async def _record(how: Routing, parts: Sequence[Part], turn: Turn, thread_id: str) -> None:
    database = await (await current_process()).database()
    for number, part in enumerate(parts):
        decision = Decision(
            thread_id=thread_id,
            run_id=turn["run_id"],
            step=turn["step"],
            kind="route",
            choice=part.specialist,
            candidates=list(how.described),
            reason=part.reason,
            decided_by=part.decided_by,
            confidence=part.confidence,
            part=number,
        )
        await record_decision(database, decision)


def attachments_of(message: AnyMessage) -> list[str]:
    """Return the media types of what is attached to a message, as its content blocks tell them."""
    kinds = [
        str(block.get("mime_type") or f"{block.get('type', '').removesuffix('_url')}/*")
        for block in attached_to(message)
    ]
    return [kind for kind in kinds if kind != "/*"]
