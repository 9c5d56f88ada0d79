"""What is handed to another agent: a specialist's request, a team's task; and in which order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langgraph.pregel import Pregel
from pydantic import BaseModel, ConfigDict, Field

from core.protocols import Example

MAX_WIDTH: Final = 8
"""Most tasks that one plan may hand out."""
OWN_SHARE: Final = 0.2
"""Share of the tokens left that an agent keeps to itself when it hands out tasks."""


class Request(BaseModel):
    """What a specialist is asked."""

    model_config = ConfigDict(extra="forbid")

    request: str = Field(min_length=1, description="The request, whole in itself.")


class Task(BaseModel):
    """What a team is to do."""

    model_config = ConfigDict(extra="forbid")

    task: str = Field(
        min_length=1, max_length=40, description="A short name of the task, such as find_order."
    )
    goal: str = Field(min_length=1, max_length=4000, description="What is to be reached, whole in itself.")
    inputs: str = Field(default="", description="Facts that the team needs: names, numbers, dates.")
    expected_output: str = Field(default="", description="What the report has to hold.")
    after: list[str] = Field(
        default_factory=list, description="Names of tasks whose reports this one needs first."
    )
    budget_share: float | None = Field(
        default=None, gt=0, le=1, description="Share of the tokens left that it may use, 0 to 1."
    )
    deadline_s: float | None = Field(default=None, gt=0, description="Most seconds of work.")


Assignment = Request | Task


@dataclass(frozen=True, slots=True)
class Delegate:
    """An agent to hand work to, as its planner sees it.

    Attributes:
        name: of its node, and by which a planner calls it.
        description: what it is for, for the model.
        graph: a compiled graph of any kind.
        arguments: `Request` or `Task`.
        examples: requests that call for it, for models that plan by schema.
    """

    name: str
    description: str
    graph: Pregel[Any, Any, Any, Any]
    arguments: type[Assignment]
    examples: tuple[Example, ...] = field(default=())

    def arguments_schema(self) -> dict[str, Any]:
        """Return the JSON schema of an assignment."""
        return self.arguments.model_json_schema()


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a task of a plan can be begun.

    Attributes:
        ready: it can.
        found: reports that it has to be given, by the name of their task.
        refused: why it never can; None where it can, now or later.
    """

    ready: bool
    found: Mapping[str, str] = field(default_factory=dict[str, str])
    refused: str | None = None


def standing_of(call: ToolCall, plan: Sequence[ToolCall], results: Mapping[str, ToolMessage]) -> Standing:
    """Return how a task stands among the tasks of its plan.

    Args:
        call: the task.
        plan: all calls of the plan.
        results: the results so far, by the id of their call.
    """
    if plan.index(call) >= MAX_WIDTH:
        return Standing(ready=True, refused=f"A plan may hand out {MAX_WIDTH} tasks; assign this one later.")
    named = {str(one["args"].get("task")): one for one in plan if one["args"].get("task")}
    wanted = _after(call)
    if unknown := [name for name in wanted if name not in named]:
        return Standing(ready=True, refused=f"It comes after {unknown}, which are no tasks of this plan.")
    if circle := _circle(call, named):
        return Standing(ready=True, refused=f"Tasks wait for each other: {' after '.join(circle)}.")
    done = {name: results.get(named[name]["id"] or "") for name in wanted}
    if failed := [name for name, message in done.items() if message and message.status == "error"]:
        return Standing(ready=True, refused=f"It comes after {failed}, which failed.")
    found = {name: message.text for name, message in done.items() if message is not None}
    return Standing(ready=len(found) == len(wanted), found=found)


def shares_of(calls: Sequence[ToolCall]) -> dict[str, float]:
    """Return the share of the tokens left that each task may use, by the id of its call.

    The shares sum up to at most 1 - `OWN_SHARE`. Tasks that ask for none share evenly what the others leave,
    which is at least half of what each would get if none had asked.
    """
    room = 1 - OWN_SHARE
    asked = {call["id"] or "": _share_asked(call) for call in calls}
    known = {one: share for one, share in asked.items() if share is not None}
    others = len(asked) - len(known)
    most = room - others * room / len(asked) / 2 if asked else room
    scale = min(1.0, most / sum(known.values())) if known else 1.0
    taken = {one: share * scale for one, share in known.items()}
    even = (room - sum(taken.values())) / max(1, others)
    return {one: taken.get(one, even) for one in asked}


def tokens_of(results: Iterable[ToolMessage]) -> tuple[int, int]:
    """Return what the agents have used that the results come from: tokens of input and of output."""
    records = [one.artifact for one in results if isinstance(one.artifact, dict)]
    told = [record.get(name) for record in records for name in ("handed_on", "used")]
    used = [one for one in told if isinstance(one, dict)]
    return sum(one["input_tokens"] for one in used), sum(one["output_tokens"] for one in used)


def tokens_told(messages: Iterable[Any]) -> tuple[int, int]:
    """Return the tokens of input and of output that messages of a graph tell of, each message once.

    They are those of its models' messages, and of the agents that it handed work to.
    """
    once = {getattr(one, "id", None) or id(one): one for one in messages}.values()
    usages = [one.usage_metadata for one in once if isinstance(one, AIMessage) and one.usage_metadata]
    below_in, below_out = tokens_of(
        one for one in once if isinstance(one, ToolMessage) and isinstance(one.artifact, dict)
    )
    return (
        below_in + sum(max(0, usage["input_tokens"]) for usage in usages),
        below_out + sum(max(0, usage["output_tokens"]) for usage in usages),
    )


def longest_s(results: Iterable[ToolMessage]) -> float:
    """Return the seconds that a turn has waited for calls that ran side by side, or after each other."""
    records = [one.artifact for one in results if one.artifact]
    named = {one["handed_on"]["task"]: one for one in records if "handed_on" in one}

    def until_end(record: Any, behind: frozenset[str]) -> float:
        after = record["arguments"].get("after") if "handed_on" in record else None
        names = {str(name) for name in after or ()} & set(named) - behind
        before = (until_end(named[name], behind | {name}) for name in names)
        return record["latency_ms"] / 1000 + max(before, default=0.0)

    return max((until_end(one, frozenset()) for one in records), default=0.0)


def wording(assignment: Assignment, found: Mapping[str, str]) -> str:
    """Return an assignment as the message that its agent reads."""
    if isinstance(assignment, Request):
        return assignment.request
    parts = [assignment.goal]
    if assignment.inputs:
        parts.append(f"What you need to know: {assignment.inputs}")
    parts += [f"Report of {name}: {text}" for name, text in found.items()]
    if assignment.expected_output:
        parts.append(f"Report: {assignment.expected_output}")
    return "\n\n".join(parts)


def attached_to(message: AnyMessage) -> list[dict[str, Any]]:
    """Return what is attached to a message, as its content blocks."""
    blocks = message.content if isinstance(message.content, list) else []
    return [block for block in blocks if isinstance(block, dict) and block.get("type") != "text"]


def _after(call: ToolCall) -> list[str]:
    names = call["args"].get("after")
    return [str(name) for name in names] if isinstance(names, list) else []


def _circle(call: ToolCall, named: Mapping[str, ToolCall]) -> list[str]:
    """Return the names of tasks that wait for each other, from this one back to itself; else nothing."""
    start = str(call["args"].get("task"))
    paths = [[start]]
    seen = {start}
    for path in paths:
        for name in _after(named[path[-1]]) if path[-1] in named else ():
            if name == start:
                return [*path, start]
            if name not in seen:
                seen.add(name)
                paths.append([*path, name])
    return []


def _share_asked(call: ToolCall) -> float | None:
    share = call["args"].get("budget_share")
    if isinstance(share, bool) or not isinstance(share, (int, float)):
        return None
    return float(share) if 0 < share <= 1 else None
