"""The channel of a conversation: each checkpoint holds what is new in it, and now and then all of it."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.messages import (
    AnyMessage,
    BaseMessageChunk,
    RemoveMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langgraph.channels.binop import (
    _get_overwrite as overwrite_in,  # pyright: ignore[reportPrivateUsage] - no other name
)
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import PendingWrite
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.graph.message import (
    _messages_delta_reducer as merged,  # pyright: ignore[reportPrivateUsage] - no other name
)
from typing_extensions import override

LEAST_UPDATES = 50
"""Of a short conversation this many updates are replayed at most."""


class MessageLog(DeltaChannel[list[AnyMessage]]):
    """Messages merged by id, stored as they come.

    All of them are stored again when half of them have come since: so storage grows linearly with the
    conversation, to about three times its size, and reading replays no more than half of what it reads.

    Writes merge as with LangGraph's `add_messages`: an id that is known replaces its message, a
    `RemoveMessage` takes one away, one with `REMOVE_ALL_MESSAGES` all before it. LangGraph gives ids to
    messages that come without, before they are stored.
    """

    __slots__ = ("_least",)

    def __init__(self, typ: Any = None, *_: Any, snapshot_frequency: int = LEAST_UPDATES) -> None:
        """Make the channel; LangGraph's own calls hand a reducer and a type, which are fixed here."""
        del typ
        reducer = cast("Callable[[Any, Sequence[Any]], Any]", merged)
        super().__init__(reducer, list, snapshot_frequency=snapshot_frequency)

    @property
    def snapshot_frequency(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleUnannotatedOverride] - grows with the value
        """After how many updates all messages are stored again."""
        return max(self._least, len(self.value) // 2 if self.is_available() else 0)

    @snapshot_frequency.setter
    def snapshot_frequency(self, least: int) -> None:
        self._least = least

    @override
    def update(self, values: Sequence[Any]) -> bool:
        """Merge the writes of a step.

        Raises:
            ValueError: a message is to be removed that is not there.
        """
        values = [_as_messages(value) for value in values]
        self._check_removals(values)
        whole, since = _since_all_removed(values)
        if whole:
            self.value = []
        return super().update(since) or whole

    @override
    def replay_writes(self, writes: Sequence[PendingWrite]) -> None:
        whole, since = _since_all_removed([_as_messages(value) for _, _, value in writes])
        if whole:
            self.value = []
        super().replay_writes([("", self.key, value) for value in since])

    def _check_removals(self, values: Sequence[Any]) -> None:
        written = [one for value in values for one in (value if isinstance(value, list) else [value])]
        removed = {one.id for one in written if isinstance(one, RemoveMessage)} - {REMOVE_ALL_MESSAGES}
        if not removed:
            return
        said = [one for one in written if not isinstance(one, RemoveMessage)]
        there = cast("list[Any]", self.value) if self.is_available() else []
        if missing := removed - {getattr(one, "id", None) for one in (*there, *said)}:
            ids = ", ".join(map(repr, sorted(missing, key=str)))
            raise ValueError(f"messages are to be removed that are not in the conversation: {ids}")


def logged(seed: Any, writes: Sequence[PendingWrite]) -> list[AnyMessage]:
    """Return the conversation that stored writes make.

    Args:
        seed: what was stored last of all messages, None where nothing was.
        writes: what was written since, the oldest first.
    """
    log = MessageLog().from_checkpoint([] if seed is None else seed)
    log.replay_writes(writes)
    return log.get()


def _as_messages(value: Any) -> Any:
    """Return a write as messages, in whatever form it came: as dicts, texts, chunks, or one alone.

    A message that is removed and comes again in one write keeps its place.
    """
    if overwrite_in(value)[0]:
        return value
    raw = cast("list[Any]", value) if isinstance(value, list) else [value]
    messages = [
        message_chunk_to_message(one) if isinstance(one, BaseMessageChunk) else one
        for one in convert_to_messages(raw)
    ]
    places = {one.id: place for place, one in enumerate(messages) if not isinstance(one, RemoveMessage)}
    return [
        one
        for place, one in enumerate(messages)
        if not isinstance(one, RemoveMessage) or places.get(one.id, -1) < place
    ]


def _since_all_removed(values: Sequence[Any]) -> tuple[bool, list[Any]]:
    """Tell whether the writes remove all messages, and return what is written after that."""
    found, since = False, list[Any]()
    for value in values:
        messages: list[Any] = value if isinstance(value, list) else [value]
        at = [n for n, one in enumerate(messages) if getattr(one, "id", None) == REMOVE_ALL_MESSAGES]
        if at:
            found, since = True, [messages[at[-1] + 1 :]]
        else:
            since.append(value)
    return found, since
