"""The form of a router's decision, and worked examples of it for models that learn by them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any, Final, Literal

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from pydantic import BaseModel, ConfigDict, Field, create_model

NOBODY: Final = "nobody"
"""What a model says of a request that belongs to none of the specialists."""
_SURE: Final = 0.9
_MAX_REASON_CHARS: Final = 160


@dataclass(frozen=True, slots=True)
class Part:
    """A request, or a part of one, and who gets it."""

    specialist: str
    confidence: float
    reason: str
    request: str
    decided_by: str = "model"
    handed_back_by: tuple[str, ...] = field(default=())


def decision_format(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of a decision among the named specialists."""
    specialist: Any = Literal[(*names, NOBODY)]  # pyright: ignore[reportInvalidTypeForm] - names are known at run time
    part = create_model(
        "Part",
        __config__=ConfigDict(extra="forbid"),
        specialist=(specialist, Field(description="Who is for it.")),
        confidence=(float, Field(ge=0, le=1, description="How sure you are, from 0 to 1.")),
        reason=(str, Field(max_length=_MAX_REASON_CHARS, description="Why this specialist, in a few words.")),
        request=(str, Field(min_length=1, max_length=2000, description="The request, whole in itself.")),
    )
    several: Any = list[part]  # pyright: ignore[reportInvalidTypeForm] - made above
    return create_model(
        "Decision",
        __config__=ConfigDict(extra="forbid"),
        __doc__="Who is to answer the user's last message.",
        parts=(
            several,
            Field(min_length=1, max_length=3, description="More than one only for several requests."),
        ),
    )


def worked_examples(described: Mapping[str, str], examples: Mapping[str, Sequence[str]]) -> list[AnyMessage]:
    """Return requests with their decisions as turns of a chat, one specialist after the other.

    A small model follows turns where it would not follow a description. One of them is a request in two
    parts, where two specialists have two examples each.

    Args:
        described: what each specialist is for, by name.
        examples: requests that are for it, by name.
    """

    def part(name: str, request: str) -> dict[str, Any]:
        reason = described[name].strip().split(".")[0][:_MAX_REASON_CHARS]
        return {"specialist": name, "confidence": _SURE, "reason": reason, "request": request}

    by_name = [[(request, [part(name, request)]) for request in examples[name]] for name in examples]
    shots = [shot for shot in chain.from_iterable(zip_longest(*by_name)) if shot is not None]
    if len(pair := [(name, given[1]) for name, given in examples.items() if len(given) > 1][:2]) > 1:
        (first, asked), (second, also) = pair
        shots.insert(len(by_name), (f"{asked} And also: {also}", [part(first, asked), part(second, also)]))
    return [
        message
        for request, parts in shots
        for message in (HumanMessage(request), AIMessage(json.dumps({"parts": parts}, ensure_ascii=False)))
    ]
