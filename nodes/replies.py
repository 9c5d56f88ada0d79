"""One call of a model: traced, and its reply such that it can be counted and stored."""

from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig

from core.protocols import Model
from observability.spans import model_span

_MOST_TOKENS: Final = 100_000_000
"""Of one call. What tells of more tells nothing: no model reads or writes as many."""
_USAGE: Final = frozenset({"token_usage", "usage"})
"""Under which clients keep in a reply what the endpoint wrote of its tokens."""


async def reply_of(
    model: Model,
    chat: Runnable[Any, AIMessage],
    messages: Sequence[AnyMessage],
    config: RunnableConfig | None = None,
) -> AIMessage:
    """Return what a model replies.

    Args:
        model: for the trace.
        chat: the model's, with what is bound to it for this call.
        messages: what it is asked.
        config: of the call.

    Raises:
        Exception: whatever the client raises.
    """
    with model_span(model.profile.name, model.profile.endpoint, messages) as spoken:
        reply = plausible(await chat.ainvoke([*messages], config))
        spoken.by(reply)
    return reply


def plausible(reply: AIMessage) -> AIMessage:
    """Return a reply without the tokens that its endpoint reports, where there can't be as many or as few."""
    usage: Any = reply.usage_metadata
    if usage is None or all(0 <= count <= _MOST_TOKENS for count in _counts(usage)):
        return reply
    told = {
        name: held for name, held in reply.response_metadata.items() if name not in {"token_usage", "usage"}
    }
    return reply.model_copy(update={"usage_metadata": None, "response_metadata": told})


def _counts(usage: dict[str, Any]) -> list[int]:
    counts: list[int] = []
    for held in usage.values():
        counts += _counts(held) if isinstance(held, dict) else [held] if isinstance(held, int) else []
    return counts
