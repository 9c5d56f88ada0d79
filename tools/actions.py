"""What the journal is about: an action, how it ended, and what is on record of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.state import Source


@dataclass(frozen=True, slots=True)
class Action:
    """A call with an effect, named by what it is.

    Attributes:
        arguments: as the model wrote them.
        equal_by: the validated arguments as JSON, by which calls are told to be equal; None for `arguments`.
        siblings: the ids of all calls of the same message.
        again: an equal call stands before it in the same message, so that this one is wanted besides.
    """

    thread_id: str
    run_id: str
    call_id: str
    tool: str
    effect: str
    arguments: Mapping[str, Any]
    equal_by: Mapping[str, Any] | None = None
    siblings: tuple[str, ...] = ()
    again: bool = False

    @property
    def key(self) -> str:
        """The name of the action: 64 hexadecimal digits."""
        parts = [self.thread_id, self.call_id, self.tool, self.arguments]
        canonical = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the model was told of a finished call."""

    outcome: str
    text: str
    sources: tuple[Source, ...] = ()
    doubt: bool = False
    """The tool failed in a way that does not tell whether it had its effect before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal holds of an action.

    Attributes:
        fresh: the intent was written now; nobody has begun the call before.
        idempotency_key: what the call says who it is by: its key, or that of an equal call whose end is
            unknown.
        attempt: how often the call was meant to be made.
        recorded: how it ended, where that is known.
        resolved_by: who settled a doubt.
        intended_at: ISO 8601; empty where `fresh`.
        doubtful: an equal call was made on the thread before and nobody knows whether it happened: what the
            model was told of it, empty where that was nothing.
    """

    fresh: bool
    idempotency_key: str
    attempt: int = 1
    recorded: Recorded | None = None
    resolved_by: str | None = None
    intended_at: str = ""
    doubtful: str | None = None
