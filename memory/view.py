"""What a model sees of a conversation: as much as it can take, cut only where nothing is torn apart."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately

from core.protocols import ModelProfile
from memory.buffer import answered

RESERVED_SHARE: Final = 0.25
"""Share of the context kept free for the system prompt and the tools, if they do not take more."""
REFERRED_CHARS: Final = 2_000
"""A tool result longer than this gives way to a reference to it where room is short."""
OPEN_RESULT: Final = "open_result"
"""The tool that opens a reference."""
ESTIMATED: Final = "estimated_input"
"""Under which an answer holds what its request was estimated to take, to be held against its usage."""
_MOST_SCALE: Final = 3.0
_BEGINNING_CHARS: Final = 200
_LEAST_CHARS: Final = 400
_NOTE_CHARS: Final = 160
_REFERENCE_CHARS: Final = 12
_OWN_REFERENCE: Final = re.compile(r"[0-9a-f]{12}")
_CHARS_PER_TOKEN: Final = 4.0
_MARGIN: Final = 1.1


@dataclass(frozen=True, slots=True)
class View:
    """What is seen.

    Attributes:
        messages: oldest first; each tool call has its result behind it.
        left_out: how many messages at the conversation's beginning are not seen.
        referred: ids of the calls whose results are seen as a reference only.
        tokens: an estimate of what the messages take.
    """

    messages: list[AnyMessage]
    left_out: int = 0
    referred: tuple[str, ...] = ()
    tokens: int = 0


def room_for(profile: ModelProfile, *, overhead: int = 0) -> int:
    """Return how many tokens of a conversation a model can take.

    Args:
        profile: of the model.
        overhead: estimated tokens of all else in a request, such as the system prompt and the tools.
    """
    reserved = max(profile.context_tokens * RESERVED_SHARE, overhead * _MARGIN)
    return max(1, int(profile.context_tokens - reserved - profile.max_tokens))


def view_of(messages: Sequence[AnyMessage], *, room: int, scale: float = 1.0, can_open: bool = False) -> View:
    """Return the newest whole turns that fit; the running one is always among them, its request whole.

    Where not all fits, long results of tools give way first, the oldest first and those of the newest step
    never; then the oldest turns; and last the results of the running turn are cut to what room there is.

    Args:
        messages: the conversation, oldest first.
        room: most tokens.
        scale: tokens of the model for each estimated one.
        can_open: a result that gave way can be opened again by a tool, and the reference tells how.
    """
    starts = [0, *(n for n, one in enumerate(messages) if n and isinstance(one, HumanMessage))]
    kept = _kept_from(messages, starts, room=room, scale=scale)
    whole = answered(messages[kept:])
    if kept == starts[0] and (tokens := _tokens(whole, scale)) <= room:
        return View(whole, kept, (), tokens)
    # With references more turns may fit than without.
    newest = _newest_step(messages)
    shorter = [*with_references(messages[:newest], can_open=can_open), *messages[newest:]]
    kept = _kept_from(shorter, starts, room=room, scale=scale)
    seen = answered(shorter[kept:])
    if (over := _tokens(seen, scale) - room) > 0:
        seen = _with_results_cut(seen, math.ceil(over * _CHARS_PER_TOKEN / scale), can_open=can_open)
    return View(seen, kept, _referred_calls(messages[kept:], seen), _tokens(seen, scale))


def _kept_from(messages: Sequence[AnyMessage], starts: Sequence[int], *, room: int, scale: float) -> int:
    """Return the index from which whole turns fit, at the latest that of the running turn."""
    kept = starts[-1]
    used = _tokens(messages[kept:], scale)
    for later, start in pairwise(reversed(starts)):
        used += _tokens(messages[start:later], scale)
        if used > room:
            break
        kept = start
    return kept


def _newest_step(messages: Sequence[AnyMessage]) -> int:
    """Return the index of the newest message that is no tool result: what follows belongs to its step."""
    return max((n for n, one in enumerate(messages) if not isinstance(one, ToolMessage)), default=0)


def _tokens(messages: Sequence[AnyMessage], scale: float) -> int:
    return math.ceil(count_tokens_approximately(messages, chars_per_token=_CHARS_PER_TOKEN) * scale)


def with_references(messages: Sequence[AnyMessage], *, can_open: bool = False) -> list[AnyMessage]:
    """Return the messages with references in the place of long tool results."""
    return [_referred(one, can_open=can_open) for one in messages]


def _referred(message: AnyMessage, *, can_open: bool) -> AnyMessage:
    if not isinstance(message, ToolMessage) or len(message.text) <= REFERRED_CHARS:
        return message
    return message.model_copy(update={"content": _reference(message, _BEGINNING_CHARS, can_open=can_open)})


def _reference(message: ToolMessage, chars: int, *, can_open: bool) -> str:
    call = message.tool_call_id.removeprefix("call_")[:_REFERENCE_CHARS]
    can_open = can_open and _OWN_REFERENCE.fullmatch(call) is not None  # other ids are not looked up
    opened = f" Read on with {OPEN_RESULT}(call={call!r}, start={chars})." if can_open else ""
    total = len(message.text)
    return f"{message.text[:chars]}\n[{total - chars} of {total} characters are not shown here.{opened}]"


def _with_results_cut(messages: Sequence[AnyMessage], chars: int, *, can_open: bool) -> list[AnyMessage]:
    """Return the messages without so many characters of tool results, the longest results losing most."""
    lengths = [len(one.text) for one in messages if isinstance(one, ToolMessage)]
    left = sum(lengths) - chars - _NOTE_CHARS * len(lengths)
    longest = max(_LEAST_CHARS, longest_of(lengths, most=left))
    return [
        one.model_copy(update={"content": _reference(one, longest, can_open=can_open)})
        if isinstance(one, ToolMessage) and len(one.text) > longest + _NOTE_CHARS
        else one
        for one in messages
    ]


def longest_of(lengths: Sequence[int], *, most: int) -> int:
    """Return to what length texts have to be cut for all of them to take no more than `most` characters."""
    low, high = 0, max(lengths, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(length, middle) for length in lengths) <= most:
            low = middle
        else:
            high = middle - 1
    return low


def _referred_calls(stored: Sequence[AnyMessage], seen: Sequence[AnyMessage]) -> tuple[str, ...]:
    whole = {one.tool_call_id: one.text for one in stored if isinstance(one, ToolMessage)}
    shown = [one for one in seen if isinstance(one, ToolMessage)]
    return tuple(one.tool_call_id for one in shown if whole.get(one.tool_call_id, one.text) != one.text)


def learned_scale(messages: Sequence[AnyMessage], model: str) -> float:
    """Return how many tokens a model last counted for each that was estimated; 1 where it has not yet.

    Its answer says what its own tokenizer counted, and holds what had been estimated, see `ESTIMATED`.
    """
    for message in reversed(messages):
        if isinstance(message, AIMessage) and (told := message.response_metadata.get(ESTIMATED)):
            usage = message.usage_metadata
            if usage and told["model"] == model and told["tokens"]:
                return scale_from(usage["input_tokens"], told["tokens"])
    return 1.0


def scale_from(counted: int, guessed: int) -> float:
    """Return how many tokens there are for each estimated one, within bounds: one odd count is no rule."""
    return min(_MOST_SCALE, max(1 / _MOST_SCALE, counted / guessed))


def estimated(messages: Sequence[AnyMessage]) -> int:
    """Return an estimate of the tokens of messages."""
    return _tokens(messages, 1.0)
