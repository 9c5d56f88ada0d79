"""One model asked for its plan: what it is shown of the turn, and what is done where that is too long."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from langchain_core.messages import AIMessage
from langgraph.errors import GraphBubbleUp

from core.protocols import Model, Planner, PlanRequest
from core.state import AgentState, Summary
from memory.buffer import turn_start
from memory.view import View, room_for, view_of
from nodes.faults import is_too_long
from nodes.notes import known, with_notes
from nodes.schema_planner import SchemaPlanner
from nodes.seeing import Frame, after_summary, scale_of, with_estimate
from nodes.tool_planner import ToolPlanner
from observability.noting import Once, note_decision

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """What a request to one model is made of."""

    model: Model
    state: AgentState
    frame: Frame
    make: Callable[..., PlanRequest]
    place: str

    @property
    def by_schema(self) -> bool:
        """Whether tools are chosen without the system prompt."""
        return self.model.profile.plans_by == "schema"


async def shown_to(
    model: Model,
    *,
    state: AgentState,
    frame: Frame,
    request: Callable[..., PlanRequest],
    place: str,
) -> AIMessage:
    """Return a model's plan for a turn, of which it is shown what it can take.

    Where its endpoint says that this was too long, it is shown half of it, once.

    Args:
        model: the model, the profile of which says which form of planner it gets.
        state: of the agent.
        frame: what stands beside the conversation.
        request: makes the request of the planner.
        place: where in the run the agent works, for the record of decisions.
    """
    summary, uncovered = after_summary(state)
    asked = _Request(model, state, frame, request, place)
    overhead = frame.overhead(state.get("notes") or [], summary)
    can_open = not asked.by_schema and len(frame.other_tools) < len(frame.tools)
    seen = partial(view_of, uncovered, scale=await scale_of(model, uncovered), can_open=can_open)
    view, why = seen(room=room_for(model.profile, overhead=overhead)), "for the room that {} has"
    try:
        planned = await _planned(asked, view, overhead, summary)
    except GraphBubbleUp:
        raise
    except Exception as error:
        if not is_too_long(error):
            raise
        _log.warning("The request was too long for %s; it is asked again with less.", model.profile.name)
        view, why = seen(room=view.tokens // 2), "since it was too long for {}"
        planned = await _planned(asked, view, overhead, summary)
    _note_trimmed(asked, view, why.format(model.profile.name))
    return planned


def _note_trimmed(asked: _Request, view: View, why: str) -> None:
    """Note what of the conversation the model was not shown that has planned."""
    missing = {"messages left out": view.left_out, "results of tools cut": len(view.referred)}
    if not (told := [f"{count} {what}" for what, count in missing.items() if count]):
        return
    step = asked.state["turn"]["step"] + 1
    note_decision("trimmed", ", ".join(told), step=step, reason=why, once=Once(asked.place))


async def _planned(asked: _Request, view: View, overhead: int, summary: Summary | None) -> AIMessage:
    start = turn_start(view.messages)
    notes, by_schema = asked.state.get("notes") or [], asked.by_schema
    shown = with_notes(view.messages, start, notes, small=by_schema, summary=summary)
    offered = asked.frame.tools if view.referred and not by_schema else asked.frame.other_tools
    planner: Planner = SchemaPlanner(asked.model) if by_schema else ToolPlanner(asked.model)
    plan = asked.make(
        system_prompt=asked.frame.told(notes, summary),
        messages=shown,
        turn_start=start,
        tools=tuple(offered),
        known=known(notes),
    )
    message = await planner.plan(plan)
    return message if by_schema else with_estimate(message, asked.model.profile.name, view.tokens + overhead)
