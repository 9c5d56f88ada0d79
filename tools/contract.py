"""The tool contract: one declaration of what a tool does, how long it may take, what repeats it bears."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.tools import BaseTool
from pydantic import BaseModel
from typing_extensions import TypedDict, Unpack

from core.protocols import Example
from core.state import Source
from guardrails.approval import ApprovalPolicy, never
from tools.injection import CONNECTION, KEY, injected_names
from tools.wrapping import as_langchain_tool, runner, strict_arguments

Effect = Literal["read", "idempotent", "transactional", "unsafe"]
"""What a call changes, and so what may be done when nobody knows whether it happened.

- `read`: nothing; it may be repeated.
- `idempotent`: something, once for each key or each set of arguments; it may be repeated with the same.
- `transactional`: rows of our own database, over the connection that it is given; the effect and its record
  commit together, so there is never a doubt.
- `unsafe`: something outside, and it can't tell. Never repeated; in doubt, `reconcile` or a person says.
"""
Provenance = Literal["trusted", "untrusted"]
"""Whether the result's text is the operator's own, or may have been written by anybody."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool hands back when text alone is not enough.

    Attributes:
        text: for the model.
        sources: passages that an answer may cite.
    """

    text: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call that fails transiently is tried again, and after which delays.

    The delay before attempt n + 1 is drawn evenly from 0 to min(max_s, base_s * 2 ** (n - 1)): exponential
    backoff with full jitter. A service that says `Retry-After` is given that time where it is longer.

    Attributes:
        max_attempts: attempts in all, the first one included.
        base_s: upper bound of the first delay.
        max_s: upper bound of every delay.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    max_attempts: int = 3
    base_s: float = 0.2
    max_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse numbers that give no law."""
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts}, expected 1 or more")
        if not 0 <= self.base_s <= self.max_s:
            raise ValueError(f"base_s is {self.base_s} and max_s {self.max_s}, expected 0 <= base_s <= max_s")


ONCE = Retry(max_attempts=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a `reconcile` hook found out about a call that is in doubt.

    Attributes:
        happened: True, False, or None where it can't tell either; then a person is asked.
        result: what the call would have returned, where it happened.
    """

    happened: bool | None
    result: ToolResult | str = ""


Reconcile = Callable[[Mapping[str, Any], str], Awaitable[Finding]]
"""Looks up whether a call happened. Takes its arguments by name and its idempotency key; only reads."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool under contract. Made by `contract`.

    Attributes:
        arguments: validates a call; fields it does not know are refused at every depth.
        run: takes the validated arguments by name, and what is injected.
        effect: what a call may change.
        timeout_s: most seconds of one attempt.
        retry: attempts and delays; more than one attempt never for `unsafe`.
        max_concurrency: most calls at the same moment, in one process.
        max_result_chars: a longer result is cut, with a note that says so.
        rest: tells the model how to get what was cut, such as "Ask for a later page.".
        approval: returns why a person has to agree to a call with these arguments, or None.
        provenance: whose words the result is.
        reconcile: finds out whether a call in doubt happened.
        injected: names of the parameters that the runtime fills in, by what it fills them with.
        examples: questions that call for this tool, for models that plan by schema.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    run: Callable[..., Awaitable[Any]]
    effect: Effect = "unsafe"
    timeout_s: float = 30.0
    retry: Retry = ONCE
    max_concurrency: int = 16
    max_result_chars: int = 20_000
    rest: str = "Ask for less at once, or for another part."
    approval: ApprovalPolicy = never
    provenance: Provenance = "untrusted"
    reconcile: Reconcile | None = None
    injected: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: tuple[Example, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a declaration that contradicts itself."""
        for name in ("timeout_s", "max_concurrency", "max_result_chars"):
            if getattr(self, name) <= 0:
                raise ValueError(f"tool {self.name!r}: {name} is {getattr(self, name)}, expected more than 0")
        if wrong := _contradiction(self):
            raise ValueError(f"tool {self.name!r}: {wrong}")

    @property
    def asks(self) -> bool:
        """Whether a call may need a person's approval."""
        return self.approval is not never

    def arguments_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the arguments that the model fills in."""
        return self.arguments.model_json_schema()


def _contradiction(tool: Tool) -> str | None:
    injected = set(tool.injected.values())
    if tool.retry.max_attempts > 1 and tool.effect == "unsafe":
        return (
            f"retry.max_attempts is {tool.retry.max_attempts}, but its effect is 'unsafe' and a repeat could "
            "do it twice. Declare effect='read' if it changes nothing, or 'idempotent' if it takes a key."
        )
    if (tool.effect == "transactional") != (CONNECTION in injected):
        return (
            f"its effect is {tool.effect!r} and it {'takes' if CONNECTION in injected else 'does not take'} "
            "a Transaction. A transactional tool takes one and writes over it; no other tool gets one."
        )
    if tool.effect == "read" and (KEY in injected or tool.reconcile is not None):
        return "its effect is 'read', so it has no use for an IdempotencyKey or reconcile."
    if tool.effect == "transactional" and tool.reconcile is not None:
        return "a transactional call is never in doubt, so it has no use for reconcile."
    return None


AnyTool = Tool | BaseTool | Callable[..., Any]
"""What factories accept: a contracted tool, a LangChain tool, or a plain function with a docstring."""


class Terms(TypedDict, total=False):
    """The parts of a contract that have a default; what each means stands at `Tool`."""

    effect: Effect
    timeout_s: float
    retry: Retry
    max_concurrency: int
    max_result_chars: int
    rest: str
    approval: ApprovalPolicy
    provenance: Provenance
    reconcile: Reconcile | None
    examples: tuple[Example, ...]


def contract(tool: BaseTool | Callable[..., Any], **terms: Unpack[Terms]) -> Tool:
    """Put a function or a LangChain tool under contract.

    A function's name, docstring and annotations become the tool's name, description and arguments. A
    synchronous function runs in a thread. Parameters annotated `IdempotencyKey`, `Transaction` (see
    `tools.injection`) or `InjectedToolCallId` are filled in by the runtime and never shown to the model. The
    defaults are the safe ones: effects unknown, no retry, a result that is not to be trusted.

    Args:
        tool: the function or LangChain tool.
        **terms: parts of `Tool` that differ from its defaults. `retry` is by default `Retry()`, three
            attempts, for everything but `unsafe`, which gets one.

    Raises:
        ValueError: the function has no docstring, a parameter is to be filled in with what there is not here,
            or the declaration contradicts itself.
    """
    wrapped = as_langchain_tool(tool)
    is_ours = wrapped is not tool
    injected = injected_names(wrapped, is_ours=is_ours)
    if terms.get("effect", "unsafe") != "unsafe":
        terms.setdefault("retry", Retry())
    return Tool(
        name=wrapped.name,
        description=wrapped.description,
        arguments=strict_arguments(wrapped, is_ours=is_ours),
        run=runner(wrapped, injected, is_ours=is_ours),
        injected=injected,
        **terms,
    )


def contracted(tool: AnyTool) -> Tool:
    """Return `tool` under contract, with the safe defaults where it has none."""
    return tool if isinstance(tool, Tool) else contract(tool)
