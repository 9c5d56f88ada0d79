"""Recorded plans: what a turn had come to when its first effects were begun.

A checkpoint may lag behind what a run does (LangGraph's durability `async`), and a model that is asked again
answers otherwise. So a plan with effects is recorded, together with the turn that led to it, by the same
commit that records the first intent; a recovered run goes on from there and asks nobody.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, cast

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)

from core.database import Database
from core.state import Turn
from core.text import storable_text

_BY_TURN = """
select messages, turn from boring.plan
where place = %(place)s
    and (turn_id = %(turn_id)s or (run_id = %(run_id)s and turn ->> 'question' = %(question)s))
order by recorded_at desc
"""

PLANS_OF_THREADS: Final[LiteralString] = """
exists (
    select from unnest(%(threads)s::text[]) as thread
    where (place = thread or starts_with(place, thread || '|') or starts_with(place, thread || '#'))
        and not exists (
            select from (select thread_id as other from boring.run where run_id = plan.run_id) as made_in
            where other <> thread
                and (place = other or starts_with(place, other || '|') or starts_with(place, other || '#'))))
"""
"""The condition that a plan was made on threads, whose names may go on as the places on others do."""


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan as it is recorded.

    Attributes:
        place: the thread, and where on it the agent runs.
        basis: names the messages that it was made upon: there can be one plan only.
        plan_id: names the plan itself.
        turn_id: names the user's request.
        messages: of the turn, the request left out and the plan at the end, as JSON.
        turn: the turn's account after the plan.
    """

    place: str
    basis: str
    plan_id: str
    turn_id: str
    run_id: str
    messages: list[dict[str, Any]]
    turn: Turn


def turn_id_of(request: AnyMessage) -> str:
    """Return a name for the turn that a user's message begins: the same whoever runs it."""
    return _digest([request.id, request.text])


def plan_record(place: str, in_turn: Sequence[AnyMessage], plan: AnyMessage, turn: Turn) -> PlanRecord:
    """Return the record of a plan.

    Args:
        place: the thread, and where on it the agent runs.
        in_turn: the turn's messages that the plan was made upon, the user's request first.
        plan: the message with the calls.
        turn: the turn's account after the plan.
    """
    return PlanRecord(
        place=place,
        basis=_basis(in_turn),
        plan_id=str(plan.id),
        turn_id=turn_id_of(in_turn[0]),
        run_id=turn["run_id"],
        messages=messages_to_dict([*in_turn[1:], plan]),
        turn=turn,
    )


async def recorded_ahead(
    database: Database, place: str, in_turn: Sequence[AnyMessage], turn: Turn
) -> tuple[list[AnyMessage], Turn] | None:
    """Return how far the turn had come already: the messages it lacks, and its account; or None.

    A record counts only if it goes on from these messages: a fork that was edited plans anew.
    """
    wanted = {
        "place": place,
        "turn_id": turn_id_of(in_turn[0]),
        "run_id": turn["run_id"],
        "question": storable_text(in_turn[0].text),  # not the turn's: a fork may have other words
    }
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_BY_TURN, wanted)).fetchall()
    found = [(messages_from_dict(row["messages"]), cast("Turn", row["turn"])) for row in rows]
    ahead = [one for one in found if _goes_on_from(in_turn[1:], one[0])]
    if not ahead:
        return None
    recorded, account = max(ahead, key=lambda one: len(_plans(one[0])))
    known = {message.id for message in in_turn}
    missing = cast("list[AnyMessage]", [message for message in recorded if message.id not in known])
    return missing, {**account, "run_id": turn["run_id"], "question": turn["question"]}


def _goes_on_from(so_far: Sequence[AnyMessage], recorded: Sequence[BaseMessage]) -> bool:
    """Tell whether the recorded turn begins with these messages and holds more plans.

    The results of a step may stand in another order, and a read that was repeated may have found other
    things; a result that somebody edited has the record of its call but another text.
    """
    mine, theirs = _plans(so_far), _plans(recorded)
    if len(theirs) <= len(mine) or theirs[: len(mine)] != mine:
        return False
    results = {message.tool_call_id: message for message in recorded if isinstance(message, ToolMessage)}
    return all(
        (known := results.get(message.tool_call_id)) is not None
        and (known.content == message.content or known.artifact != message.artifact)
        for message in so_far
        if isinstance(message, ToolMessage)
    )


def _basis(in_turn: Sequence[AnyMessage]) -> str:
    """Return a name for what a plan is made upon; a question, call or result that was edited changes it."""
    results = [[one.tool_call_id, one.content] for one in in_turn if isinstance(one, ToolMessage)]
    return _digest([in_turn[0].id, in_turn[0].text, _plans(in_turn), sorted(results, key=str)])


def _plans(messages: Sequence[BaseMessage]) -> list[list[Any]]:
    """Return the plans among the messages, each by its id and its calls."""
    return [
        [one.id, [[call["id"], call["name"], call["args"]] for call in one.tool_calls]]
        for one in messages
        if isinstance(one, AIMessage)
    ]


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
