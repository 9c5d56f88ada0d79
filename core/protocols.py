"""The seams of the house: what a planner, a tool and a model are to the code above them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AnyMessage


@dataclass(frozen=True, slots=True)
class Example:
    """A question and the tool call that answers it, shown to models that plan by schema."""

    question: str
    arguments: dict[str, Any]


class ToolSpec(Protocol):
    """What a planner has to know of a tool."""

    @property
    def name(self) -> str:
        """The name that the model calls it by."""
        ...

    @property
    def description(self) -> str:
        """What it does, for the model."""
        ...

    @property
    def examples(self) -> tuple[Example, ...]:
        """Questions that call for this tool."""
        ...

    def arguments_schema(self) -> dict[str, Any]:
        """Return the JSON schema of its arguments."""
        ...


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """What is known of a model.

    Attributes:
        name: as the endpoint calls it.
        plans_by: `tools` where tool calling can be trusted, else `schema`.
        context_tokens: most tokens of one request and its answer.
        max_tokens: most tokens of one answer.
        tool_rounds: how often a model that plans by schema may use a tool before it has to answer.
        structured_by: how a model that plans by tools gives a structured answer: `json_schema` where its
            endpoint takes a schema for the answer beside tools, else `tools`, by calling one more function.
        endpoint: tells its endpoint from others, such as `api.openai.com`; empty where there is but one.
    """

    name: str
    plans_by: str = "tools"
    context_tokens: int = 128_000
    max_tokens: int = 2048
    tool_rounds: int = 8
    structured_by: str = "tools"
    endpoint: str = ""

    @property
    def max_input_chars(self) -> int:
        """Most characters of a question: half of the context at three characters a token."""
        return (self.context_tokens - self.max_tokens) * 3 // 2


async def _forget(prefix: Sequence[AnyMessage]) -> None:
    """Do nothing: most servers keep their own prompt cache."""
    del prefix


@dataclass(frozen=True, slots=True)
class Model:
    """A chat model and what is known of it.

    Attributes:
        chat: ready to be called.
        remember: prepares the server for many calls that begin with the given messages.
        count_tokens: counts a text by the model's own tokenizer; None where there is none at hand.
    """

    profile: ModelProfile
    chat: BaseChatModel
    remember: Callable[[Sequence[AnyMessage]], Awaitable[None]] = _forget
    count_tokens: Callable[[str], Awaitable[int]] | None = None


ModelSource = Callable[[], Coroutine[Any, Any, Model]]
"""Returns the model, opening it at the first call: a graph is built before its model runs."""
FallbackSource = Callable[[], Coroutine[Any, Any, Sequence[ModelSource]]]
"""Returns the models to ask when the first one can't be used, in order."""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form that the answer has to take.

    Attributes:
        name: fit to be a function's name.
        description: for the model.
        schema: the JSON schema of the answer, an object.
        errors: returns what is wrong with an answer's JSON text, one line for each mistake.
    """

    name: str
    description: str
    schema: dict[str, Any]
    errors: Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a planner decides upon.

    Attributes:
        system_prompt: the operator's words.
        messages: the conversation, oldest first, already fitted to the model's context.
        turn_start: index in `messages` of the user's message that began this turn.
        response_format: the form of the answer, or None for an answer in words.
        quiet: what the model says is not for the user, and not streamed.
        examples: turns of a chat that show the answer in its form, for models that learn by them.
        several: one plan may hold several calls, even of a model that plans by schema.
        known: what is known of the user, as text, for planners whose messages don't hold it.
    """

    system_prompt: str
    messages: Sequence[AnyMessage]
    turn_start: int
    tools: Sequence[ToolSpec] = field(default_factory=tuple)
    response_format: ResponseFormat | None = None
    quiet: bool = False
    examples: Sequence[AnyMessage] = ()
    several: bool = False
    known: str = ""


class Planner(Protocol):
    """Decides what to do next: call tools, or answer."""

    async def plan(self, request: PlanRequest) -> AIMessage:
        """Return a message with tool calls, or with the answer as its text, and the tokens it took."""
        ...
