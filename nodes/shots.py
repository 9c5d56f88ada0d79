"""Worked examples: requests with their answers, as turns of a chat that small models follow."""

from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

Shot = tuple[str, list[dict[str, Any]]]
"""A request, and what it is answered with: one thing for each of its parts."""


def interleaved(lists: Sequence[Sequence[Shot]]) -> list[Shot]:
    """Return the first of each list, then the second of each, and so on."""
    return [shot for shot in chain.from_iterable(zip_longest(*lists)) if shot is not None]


def in_two_parts(lists: Sequence[Sequence[Shot]]) -> list[Shot]:
    """Return one request in two parts, made of the second ones of the first two lists that have as many."""
    pair = [shots[1] for shots in lists if len(shots) > 1][:2]
    asked = " And also: ".join(request for request, _ in pair)
    return [(asked, [part for _, parts in pair for part in parts])] if pair[1:] else []


def as_chat(shots: Sequence[Shot], text: Callable[[Sequence[dict[str, Any]]], str]) -> list[AnyMessage]:
    """Return the turns of a chat.

    Args:
        shots: the requests and their answers.
        text: writes an answer as the model has to.
    """
    return [
        message for request, parts in shots for message in (HumanMessage(request), AIMessage(text(parts)))
    ]
