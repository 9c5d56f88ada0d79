"""How a turn ended, told from the state of its graph: one of ours, or one that knows nothing of us."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeGuard

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, convert_to_messages
from langgraph.channels.base import BaseChannel
from langgraph.graph.state import CompiledStateGraph

from core.errors import InputError
from core.state import Answer, Turn
from nodes.replies import plausible

_OF_TURN: Final = frozenset({"run_id", "input_tokens", "output_tokens", "elapsed_s"})
_OF_ANSWER: Final = frozenset({"text", "status", "sources"})


class End(NamedTuple):
    """What a turn came to, and what it took."""

    answer: Answer
    turn: Turn


class NoAnswerError(InputError):
    """A graph of the user's own has ended, and its state does not tell what it answers.

    Attributes:
        end: what the record of runs is told.
    """

    def __init__(self, why: str, end: End) -> None:
        super().__init__(why)
        self.end = end


def end_of(values: Any, *, graph: str, run_id: str, elapsed_s: float) -> End:
    """Return the end that a graph's state tells.

    A graph of ours writes it down itself. Of another one the answer is a text in `answer`, else the last of
    its `messages`, and tokens are those that its messages tell, from the last question on.

    Args:
        values: the state.
        graph: its name.
        run_id: the run; empty where it is not known, and the state's own is taken for it.
        elapsed_s: how long it took, where the state does not say so.

    Raises:
        NoAnswerError: the state tells no answer.
    """
    state: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
    answer, turn = state.get("answer"), state.get("turn")
    is_of_run = is_turn(turn) and run_id in {"", turn["run_id"]}
    if is_of_run and isinstance(answer, Mapping) and answer.keys() >= _OF_ANSWER:
        return End(answer, turn)  # pyright: ignore[reportArgumentType] - as `respond` writes them
    said = _messages(state)
    text = answer if isinstance(answer, str) else _last_words(said)
    if text:
        return End({"text": text, "status": "answered", "sources": []}, _turn(said, run_id, elapsed_s))
    raise NoAnswerError(
        f"The graph {graph!r} has ended, but its state tells no answer: {_held(state, said)}. Have it end"
        " with a message of its own, the last of `messages` (see langgraph.graph.MessagesState), or with a"
        " text in `answer`.",
        failed_end(run_id, elapsed_s, said),
    )


def failed_end(run_id: str, elapsed_s: float, said: Sequence[AnyMessage] = ()) -> End:
    """Return the end of a turn that came to no answer, with the tokens that its messages tell."""
    return End({"text": "", "status": "failed", "sources": []}, _turn(said, run_id, elapsed_s))


def can_be_asked(graph: CompiledStateGraph[Any, Any, Any, Any]) -> bool:
    """Tell whether a question can be handed to a graph, so that it is to answer it."""
    whole = graph.channels.get("__root__")  # what a graph has whose state is one value
    return "messages" in graph.channels or (isinstance(whole, BaseChannel) and whole.UpdateType is dict)


def is_turn(held: Any) -> TypeGuard[Turn]:
    """Tell whether it is a turn as our graphs note it; others may call something else so."""
    return isinstance(held, Mapping) and held.keys() >= _OF_TURN


def _messages(state: Mapping[str, Any]) -> list[AnyMessage]:
    """Return the messages of the turn, the question first."""
    held = state.get("messages")
    said: list[Any] = [one for one in map(message_of, held) if one] if isinstance(held, list) else []
    begins = max((n for n, one in enumerate(said) if isinstance(one, HumanMessage)), default=0)
    return said[begins:]


def message_of(held: Any) -> BaseMessage | None:
    """Return what stands among messages as one, in whichever form LangChain knows; None if it is none."""
    try:
        return convert_to_messages([held])[0]
    except (ValueError, NotImplementedError):
        return None


def _last_words(said: list[AnyMessage]) -> str:
    return said[-1].text if said and not isinstance(said[-1], HumanMessage) else ""


def _turn(said: Sequence[AnyMessage], run_id: str, elapsed_s: float) -> Turn:
    replies = [plausible(one) for one in said if isinstance(one, AIMessage)]
    used = [one.usage_metadata for one in replies if one.usage_metadata]
    return {
        "run_id": run_id,
        "question": said[0].text if said and isinstance(said[0], HumanMessage) else "",
        "step": len(replies),
        "input_tokens": sum(one["input_tokens"] for one in used),
        "output_tokens": sum(one["output_tokens"] for one in used),
        "elapsed_s": elapsed_s,
        "started_at": (datetime.now(UTC) - timedelta(seconds=elapsed_s)).isoformat(),
    }


def _held(state: Mapping[str, Any], said: list[AnyMessage]) -> str:
    if said:
        last = "the question" if isinstance(said[-1], HumanMessage) else "without text"
        return f"the last of its `messages` is {last}"
    return f"it holds {', '.join(f'`{name}`' for name in state) or 'nothing'}, and no messages"
