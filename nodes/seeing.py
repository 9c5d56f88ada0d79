"""How much of a conversation a model is shown, by its own count of tokens where that is known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage, SystemMessage

from core.protocols import Model, ToolSpec
from core.state import AgentState, Note, Summary
from memory.view import ESTIMATED, OPEN_RESULT, estimated, learned_scale, scale_from
from nodes.notes import with_rules

_EXACT_FROM: Final = 0.4
"""Share of the context below which an estimate is good enough."""


async def scale_of(model: Model, messages: Sequence[AnyMessage]) -> float:
    """Return how many tokens of the model there are for each estimated one.

    A model's own tokenizer is asked where there is one at hand and the conversation is long; else what the
    model counted at its last answer is held against what was estimated then.
    """
    if model.count_tokens is None:
        return learned_scale(messages, model.profile.name)
    newest = _newest(messages, model.profile.context_tokens)
    guessed = estimated(newest)
    if guessed < _EXACT_FROM * model.profile.context_tokens:
        return 1.0
    counted = await model.count_tokens("\n".join(one.text for one in newest))
    return scale_from(counted, guessed)


def _newest(messages: Sequence[AnyMessage], most: int) -> Sequence[AnyMessage]:
    """Return the end of a conversation that is about as long as a context."""
    tokens = 0
    for index in range(len(messages) - 1, -1, -1):
        tokens += estimated([messages[index]])
        if tokens > most:
            return messages[index:]
    return messages


@dataclass(frozen=True)
class Frame:
    """What stands in each request of a planner beside the conversation.

    Attributes:
        system_prompt: the operator's words.
        tools: what can be called; `open_result` is offered only where there is a reference to open.
    """

    system_prompt: str = ""
    tools: Sequence[ToolSpec] = ()

    @cached_property
    def other_tools(self) -> list[ToolSpec]:
        """The tools that are offered where there is nothing to open."""
        return [tool for tool in self.tools if tool.name != OPEN_RESULT]

    @cached_property
    def _described(self) -> str:
        return json.dumps(
            [[tool.name, tool.description, tool.arguments_schema()] for tool in self.other_tools]
        )

    def told(self, notes: Sequence[Note], summary: Summary | None) -> str:
        """Return the system prompt of a request, with the rules among the notes and the summary."""
        return with_rules(self.system_prompt, notes, summary)

    def overhead(self, notes: Sequence[Note], summary: Summary | None) -> int:
        """Return an estimate of its tokens, with the rules among the notes and the summary."""
        return estimated([SystemMessage(self.told(notes, summary) + self._described)])


def after_summary(state: AgentState) -> tuple[Summary | None, Sequence[AnyMessage]]:
    """Return the summary and the messages that it does not cover.

    A summary of which a message is gone, since somebody removed it, counts as none.
    """
    messages, summary = state["messages"], state.get("summary")
    if summary is None:
        return None, messages
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].id == summary["last"]:
            begin = index + 1 - summary["messages"]
            if begin >= 0 and messages[begin].id == summary["first"]:
                return summary, messages[index + 1 :]
            break
    return None, messages


def with_estimate(message: AIMessage, model: str, tokens: int) -> AIMessage:
    """Return an answer that holds what its request was estimated to take."""
    told: dict[str, Any] = {**message.response_metadata, ESTIMATED: {"model": model, "tokens": tokens}}
    return message.model_copy(update={"response_metadata": told})
