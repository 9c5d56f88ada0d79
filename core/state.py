"""The checkpointed state of an agent's thread, channel by channel."""

from typing import Annotated, Literal

from langchain_core.messages import AnyMessage, ToolCall
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

StopReason = Literal["answered", "budget", "deadline", "step_limit", "repeated", "refused", "failed"]
"""Why a run ended. Everything but `answered` comes with a message that the user can read."""


class Turn(TypedDict):
    """What one turn has used so far. Written by `receive`, `plan` and `observe`, never in parallel.

    Replaced whole at each write; lives from one `receive` to the next.
    """

    run_id: str
    question: str
    step: int
    """Times the agent has planned in this turn."""
    input_tokens: int
    output_tokens: int
    elapsed_s: float
    """Seconds of work, without the time in which no process worked on the run."""
    started_at: str
    """ISO 8601 with UTC offset."""


class Stop(TypedDict):
    """Why the turn has to end before its answer. Set by any node, read by `respond`."""

    reason: StopReason
    message: str


class Source(TypedDict):
    """A passage that a tool found and the answer may rest on."""

    source: str
    """Path or address as it was indexed, such as `docs/recovery.md`."""
    section: str
    text: str


class Answer(TypedDict):
    """How the turn ended. Written by `respond` only."""

    text: str
    status: StopReason
    sources: list[str]
    """The `Source.source` values that the answer rests on, most used first."""


class AgentInput(TypedDict):
    """What a caller hands in: the user's new message, or several of which the last is the user's."""

    messages: Annotated[list[AnyMessage], add_messages]


class AgentState(TypedDict):
    """The channels of a thread.

    - `messages`: the conversation. Merged by message id; lives as long as the thread.
    - `turn`: see `Turn`.
    - `stop`: see `Stop`; reset to None by `receive`.
    - `answer`: see `Answer`; reset to None by `receive`.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    turn: Turn
    stop: Stop | None
    answer: Answer | None


class CallTask(TypedDict):
    """What one `execute` worker gets: a single tool call of the plan."""

    call: ToolCall
    step: int
    elapsed_s: float
    """What the turn had used when the call was planned; see `Turn.elapsed_s`."""
