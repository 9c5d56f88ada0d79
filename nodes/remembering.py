"""What an agent remembers: whether it recalls and learns, and the bounds of both."""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from core.context import RunContext
from core.process import current_process
from core.state import Turn
from memory.extractions import MAX_FOUND_CHARS, MAX_SAID_CHARS, Extraction, Said

_MAX_BEFORE_CHARS = 300


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """How an agent uses its long-term memory.

    Attributes:
        recall: what is known of the user and fits the question is told to the model.
        learn: after a turn, facts worth keeping are extracted by the model, in the background.
        max_recalled: most memories in a turn, 1 to 50.
        max_tokens: most tokens of them together, about; 20 or more.
        max_facts: most facts that one turn is learnt, 1 to 20.
    """

    recall: bool = True
    learn: bool = True
    max_recalled: int = 5
    max_tokens: int = 400
    max_facts: int = 5


Memory = MemoryPolicy | bool | None
"""A policy; True for the default one, False for no memory, None for what BORING_MEMORY says."""


async def policy_of(memory: Memory) -> MemoryPolicy | None:
    """Return the policy that holds now, None where there is no memory."""
    if memory is None:
        memory = (await current_process()).settings.memory
    if isinstance(memory, MemoryPolicy):
        return memory
    return MemoryPolicy() if memory else None


def turn_to_learn(
    messages: Sequence[AnyMessage], start: int, *, turn: Turn, context: RunContext, place: tuple[str, str]
) -> Extraction | None:
    """Return what is to be learnt from in a turn; None where the user said nothing.

    The user's words come first after what the agent said before them, then what tools have found. The answer
    is left out: it holds nothing that is not in these.

    Args:
        messages: the conversation, oldest first.
        start: index of the message that began the turn.
        turn: the turn's account.
        context: for whom it ran.
        place: the thread and the name of the graph.
    """
    request = messages[start]
    if not isinstance(request, HumanMessage) or not request.text.strip():
        return None
    before = [one for one in messages[:start][-1:] if isinstance(one, AIMessage) and one.text.strip()]
    said = [Said("agent", _end(one.text), one.id) for one in before]
    said.append(Said("user", _cut(request.text, MAX_SAID_CHARS), request.id))
    left = MAX_FOUND_CHARS
    for one in messages[start + 1 :]:
        if isinstance(one, ToolMessage) and one.status != "error" and left > 0 and one.text.strip():
            said.append(Said("tool", _cut(one.text, left), one.id))
            left -= len(one.text)
    thread_id, graph = place
    return Extraction(turn["run_id"], thread_id, context.tenant, context.user, graph, said)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _end(text: str) -> str:
    """Return the end of a text, where a question would stand."""
    return text if len(text) <= _MAX_BEFORE_CHARS else f"…{text[1 - _MAX_BEFORE_CHARS :]}"
