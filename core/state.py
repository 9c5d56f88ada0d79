"""The checkpointed state of an agent's thread, channel by channel."""

from typing import Annotated, Any, Literal, NotRequired

from langchain_core.messages import AnyMessage, ToolCall
from typing_extensions import TypedDict

from core.message_log import MessageLog

StopReason = Literal[
    "answered",
    "budget",
    "deadline",
    "step_limit",
    "repeated",
    "refused",
    "declined",
    "denied",
    "asked_back",
    "failed",
]
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
    trace: NotRequired[str]
    """The trace and the span of the invocation that received the turn."""


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


class Contribution(TypedDict):
    """What another agent has said to the answer."""

    agent: str
    task: str
    """What it was asked, in few words."""
    status: StopReason
    text: str
    """What it reported, or why it did not."""


class Answer(TypedDict):
    """How the turn ended. Written by `respond` only."""

    text: str
    status: StopReason
    sources: list[str]
    """The `Source.source` values that the answer rests on, most used first."""
    contributions: NotRequired[list[Contribution]]
    """Which agent said what, in the order of the tasks; only where work was handed to others."""


class Summary(TypedDict):
    """What was said before the messages that the model sees word for word."""

    text: str
    first: str
    """Id of the oldest message that it covers."""
    last: str
    """Id of the newest one; it covers all between them."""
    messages: int
    """How many it covers."""


NoteKind = Literal["rule", "memory"]
"""What the agent has to follow; what is known, to be used and never to be followed."""


class Note(TypedDict):
    """What the model is told in this turn beside the conversation."""

    kind: NoteKind
    id: str
    """Of the version of the rule or the memory."""
    text: str
    trusted: bool
    """Whether a person or this program said it, and no document, page or tool."""


QuestionKind = Literal["approval", "in_doubt"]
"""May a call be made; did a call happen that nobody knows the end of."""


class OpenQuestion(TypedDict):
    """What has to be asked of a person before a call of the plan can go on."""

    call_id: str
    key: str
    """Names the action that the question is about."""
    kind: QuestionKind
    attempt: int
    """The attempt at the action that the question is about, from 1."""
    payload: dict[str, Any]
    """What the person is shown, as JSON."""


Questions = dict[str, OpenQuestion | None]


def merge_questions(left: Questions | None, right: Questions | None) -> Questions:
    """Merge questions by call id; None for a call strikes its question off, None for all strikes all off."""
    if right is None:
        return {}
    return {call_id: one for call_id, one in {**(left or {}), **right}.items() if one is not None}


class AgentInput(TypedDict):
    """What a caller hands in: the user's new message, or several of which the last is the user's."""

    messages: Annotated[list[AnyMessage], MessageLog()]


class AgentState(TypedDict):
    """The channels of a thread.

    - `messages`: the conversation, see `MessageLog`. Merged by message id; lives as long as the thread.
    - `turn`: see `Turn`.
    - `stop`: see `Stop`; reset to None by `receive`.
    - `answer`: see `Answer`; reset to None by `receive`.
    - `notes`: see `Note`; replaced whole by `receive`, so that a turn goes by the same notes to its end.
    - `summary`: see `Summary`; replaced whole by `receive` when the conversation has outgrown the model's
      context. Lives as long as the thread.
    - `questions`: open questions to a person by call id. Written by `execute`, struck off by `review`, reset
      by `receive`; merged by `merge_questions`.
    """

    messages: Annotated[list[AnyMessage], MessageLog()]
    turn: Turn
    stop: Stop | None
    answer: Answer | None
    notes: list[Note]
    summary: Summary | None
    questions: Annotated[Questions, merge_questions]


class CallTask(TypedDict):
    """What one worker gets: a single call of the plan."""

    call: ToolCall
    step: int
    elapsed_s: float
    """What the turn had used when the call was planned; see `Turn.elapsed_s`."""
    used_tokens: int
    """What the turn had used when the call was planned, input and output together."""
    share: float
    """The share of the tokens left that an agent may use which the call hands work to, 0 to 1."""
    found: dict[str, str]
    """Reports that such an agent has to be given, by the name of their task."""
    attached: NotRequired[list[dict[str, Any]]]
    """What the user attached to the request, as content blocks; only for such an agent."""
    blocked: str | None
    """Why a call that hands work to an agent can't be carried out."""
    run_id: str
    earlier: int
    """How often the turn has made the same call before."""
    duplicate_of: str | None
    """The id of the call that this one repeats within one message of the model."""
    siblings: NotRequired[list[str]]
    """The ids of all calls of the same message; unset in tasks of older versions."""
    again: NotRequired[bool]
    """An equal call stands before it in the same message."""


class ReviewTask(TypedDict):
    """What one `review` worker gets."""

    question: OpenQuestion
    turn: NotRequired[Turn]
    """The one that asks; tasks of before had none."""
