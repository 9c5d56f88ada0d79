"""Ids of ours for what a model says: a provider may repeat an id, or give another one when asked again."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage

from core.text import storable

_DUPLICATES = "duplicates"


def with_own_ids(message: AIMessage, earlier: Sequence[AnyMessage]) -> AIMessage:
    """Return the message with an id that no earlier one has, and an id of ours for every call.

    Calls that came under one id with the same arguments are one call, stuttered: the later ones are marked.
    """
    calls = [{**storable(call), "id": f"call_{uuid.uuid4().hex}"} for call in message.tool_calls]
    given_ids = [call["id"] for call in message.tool_calls]
    first: dict[str, dict[str, Any]] = {}
    duplicates: dict[str, str] = {}
    for given, call in zip(given_ids, calls, strict=True):
        known = first.setdefault(given, call) if given else call
        if known is not call and (known["name"], known["args"]) == (call["name"], call["args"]):
            duplicates[call["id"]] = known["id"]
    taken = {one.id for one in earlier}
    update = {
        "id": message.id if message.id and message.id not in taken else f"msg_{uuid.uuid4().hex}",
        "content": storable(message.content),
        "response_metadata": _told_once(message.response_metadata),
        "tool_calls": calls,
        "additional_kwargs": {_DUPLICATES: duplicates} if duplicates else {},
    }
    return message.model_copy(update=update)


def _told_once(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an endpoint said of its answer, without the usage, which the message holds by itself."""
    return {key: value for key, value in metadata.items() if key != "token_usage" and value is not None}


def duplicates_of(message: AIMessage) -> Mapping[str, str]:
    """Return the ids of calls that repeat another one of the same message, with the id of that one."""
    return message.additional_kwargs.get(_DUPLICATES, {})
