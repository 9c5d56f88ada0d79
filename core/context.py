"""What a caller may set for one run. JSON-able, because server assistants store it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from core.text import storable_text

if TYPE_CHECKING:
    from langgraph.runtime import Runtime


@dataclass(frozen=True, slots=True)
class RunContext:
    """The frozen context of a run, which every node can read and none can change.

    Attributes:
        user: who asks; owner of the thread.
        tenant: whose documents are searched. Isolation by tenant is a filter on every query.
        max_steps: most times the agent may plan in one turn, 1 or more.
        max_tokens: most tokens (input and output together) in one turn.
        max_time_s: most seconds of work in one turn. Time in which the process was dead does not count.
        max_tool_time_s: most seconds of one tool call, whatever the tool declares.
        depth: how many agents have handed the request down; 0 for the one that the user asked.
        run_id: the run of the agent that the user asked, for those below it.
    """

    user: str = "local"
    tenant: str = "local"
    max_steps: int = 8
    max_tokens: int = 60_000
    max_time_s: float = 600.0
    max_tool_time_s: float = 60.0
    depth: int = 0
    run_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse limits that can't hold, and names that can't be stored.

        Raises:
            ValueError: a limit is not a finite number over 0, `depth` no whole number, or a name holds a NUL
                or half a character.
        """
        for name in ("user", "tenant"):
            value = getattr(self, name)
            if isinstance(value, str) and storable_text(value) != value:
                raise ValueError(
                    f"{name} is {value!r}, which can't be stored: leave out the NUL or the lone half"
                )
        for name in ("max_steps", "max_tokens", "max_time_s", "max_tool_time_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name} is {value!r}; expected a finite number over 0")
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or self.depth < 0:  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
            raise ValueError(f"depth is {self.depth!r}; expected a whole number, 0 or more")


def context_of(runtime: Runtime[RunContext]) -> RunContext:
    """Return the run's context; a caller that gave none runs under the defaults.

    Raises:
        ValueError: see `run_context`.
    """
    return run_context(runtime.context)


def run_context(given: Any) -> RunContext:
    """Return a context as our graphs take it; a graph around them may have another one, a dict, or none.

    Raises:
        ValueError: a limit in it can't hold, see `RunContext`.
    """
    if given is None or isinstance(given, RunContext):
        return given or RunContext()
    told = {one.name: field_of(given, one.name, None) for one in fields(RunContext)}
    return RunContext(**{name: value for name, value in told.items() if value is not None})


def field_of(context: Any, name: str, default: Any) -> Any:
    """Return a field of a run's context; graphs of others may have one that is a dict, or none."""
    if isinstance(context, dict):
        return context.get(name, default)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return getattr(context, name, default)
