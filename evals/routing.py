"""Requests to a help desk with the specialist each is for, and what a router makes of them.

The topics are those of public help desks (returns, orders, tickets, small talk), each in several phrasings;
some belong to nobody.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from nodes.routing_form import NOBODY

REQUESTS = Path(__file__).parent / "routing.json"


class LabelledRequest(BaseModel):
    """One request of the set.

    Attributes:
        request: as a user would write it.
        specialist: who it is for; `nobody` where it is for none of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: str
    specialist: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a router did with a request.

    Attributes:
        specialist: who got it; None where the user was asked back.
        tokens: what the decision took, input and output together.
    """

    specialist: str | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a router did.

    Attributes:
        accuracy: share of requests that were given to the right one; one for nobody counts as right where the
            user was asked back, or where the general specialist got it.
        asked_back: share of requests where the user was asked.
        cost: tokens for each decision.
    """

    cases: int
    accuracy: float
    asked_back: float
    cost: float

    def line(self) -> str:
        """Return the figures in one line."""
        return (
            f"cases={self.cases} accuracy={self.accuracy:.3f} asked_back={self.asked_back:.3f} "
            f"cost={self.cost:.0f}"
        )


def load_requests(path: Path = REQUESTS) -> list[LabelledRequest]:
    """Read the set.

    Raises:
        pydantic.ValidationError: an entry is not a labelled request.
    """
    return [LabelledRequest.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def is_right(asked: LabelledRequest, done: Choice, *, general: str | None) -> bool:
    """Tell whether a request was given to the right one; what is for nobody may be asked back."""
    nobodys = asked.specialist == NOBODY and done.specialist in {None, NOBODY, general}
    return nobodys or done.specialist == asked.specialist


def quality(
    requests: Sequence[LabelledRequest], choices: Sequence[Choice], *, general: str | None
) -> Quality:
    """Return how well a router did.

    Args:
        requests: the set.
        choices: what was done with each.
        general: the specialist that takes what belongs nowhere.
    """
    number = len(requests)
    pairs = zip(requests, choices, strict=True)
    return Quality(
        cases=number,
        accuracy=sum(is_right(asked, done, general=general) for asked, done in pairs) / number,
        asked_back=sum(one.specialist is None for one in choices) / number,
        cost=sum(one.tokens for one in choices) / number,
    )
