"""Recalls what is known of the user: found before the first step, told to the model as data."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.errors import BoringError
from core.state import Note, Turn
from memory.facts import recall
from memory.items import Memory as Remembered
from memory.items import Origin
from nodes.receive import Noting
from nodes.remembering import Memory, MemoryPolicy, policy_of
from observability.noting import Once, note_decision

PATIENCE_S: Final = 15.0
"""How long the memory is waited for; the embedding model may have to be opened first."""
_MAX_QUESTION_CHARS: Final = 2000
_MAX_MEMORY_CHARS: Final = 400
_log = logging.getLogger(__name__)


def recalling(memory: Memory) -> Noting:
    """Return what finds the memories of a turn.

    Agents that were handed the request by another one recall nothing: the one that the user asked does. A
    memory that can't be searched is left out with a warning in the log; the turn goes on.
    """

    async def recalled(turn: Turn, runtime: Runtime[RunContext]) -> list[Note]:
        context, policy = context_of(runtime), await policy_of(memory)
        if context.depth or policy is None or not policy.recall or not turn["question"].strip():
            return []
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await _notes(turn, context, policy)
        # A search may also fail by the database's or a client's own error; nothing of the graph runs in it.
        except (BoringError, psycopg.Error, OSError, TimeoutError, ValueError) as error:
            why = str(error).strip() or type(error).__name__
            _log.warning("The turn goes on without what is known of the user: %s", why)
            return []

    return recalled


async def _notes(turn: Turn, context: RunContext, policy: MemoryPolicy) -> list[Note]:
    origin = Origin(context.tenant, context.user)
    found = await recall(turn["question"][:_MAX_QUESTION_CHARS], limit=policy.max_recalled, origin=origin)
    notes = _fitting([note for one in found if (note := _note(one)) is not None], policy.max_tokens)
    if notes:
        note_decision(
            "memory_used",
            ", ".join(note["id"] for note in notes),
            step=1,
            candidates=[str(one.id) for one in found],
            reason=f"{len(notes)} of {len(found)} found fit into {policy.max_tokens} tokens",
            once=Once(),
        )
    return notes


def _note(memory: Remembered) -> Note | None:
    told: Any = memory.value.get("text")
    text = told if isinstance(told, str) and told.strip() else memory.text
    if not text:
        return None
    text = text if len(text) <= _MAX_MEMORY_CHARS else f"{text[: _MAX_MEMORY_CHARS - 1]}…"
    return Note(kind="memory", id=str(memory.id), text=text, trusted=memory.origin.trusted)


def _fitting(notes: Sequence[Note], max_tokens: int) -> list[Note]:
    """Return the first notes that together take no more than these tokens, about."""
    left, kept = max_tokens, list[Note]()
    for note in notes:
        left -= count_tokens_approximately([HumanMessage(note["text"])])
        if left < 0:
            break
        kept.append(note)
    return kept
