"""The form of a router's decision, and worked examples of it for models that learn by them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from langchain_core.messages import AnyMessage
from pydantic import BaseModel, ConfigDict, Field, create_model

from nodes.shots import Shot, as_chat, in_two_parts, interleaved

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

    by_name: list[list[Shot]] = [
        [(request, [part(name, request)]) for request in requests] for name, requests in examples.items()
    ]
    shots = interleaved(by_name)
    shots[len(by_name) : len(by_name)] = in_two_parts(by_name)
    return as_chat(shots, lambda parts: json.dumps({"parts": parts}, ensure_ascii=False))
