"""What happens in a turn, as the command line sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.questions import Asked
    from core.state import Answer, Turn


@dataclass(frozen=True, slots=True)
class Step:
    """A step has ended. `what` says in a few words what came of it, `agents` whose step it was.

    `agents` are the names of those the work was handed down to; empty for the agent that was asked.
    """

    name: str
    what: str
    seconds: float
    agents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """A tool says how far it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn is over."""

    answer: Answer
    turn: Turn


@dataclass(frozen=True, slots=True)
class Waiting:
    """The turn can't go on before a person has answered."""

    questions: tuple[Asked, ...]
    run_id: str


Event = Step | Token | ToolProgress | Ended | Waiting
