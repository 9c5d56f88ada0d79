"""The planner for models that call tools themselves."""

from json import JSONDecodeError
from typing import Any

from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from pydantic import ValidationError

from core.errors import TransientError
from core.protocols import Model, PlanRequest, ToolSpec


class ToolPlanner:
    """Plans by the model's own tool calling."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def plan(self, request: PlanRequest) -> AIMessage:
        """Return the model's message, with tool calls or with the answer.

        A call whose arguments are not JSON is kept as a call with one argument `__malformed__`, so that the
        tool runtime answers it like any other invalid call.
        """
        chat = self._model.chat
        bound = chat.bind_tools([_as_function(tool) for tool in request.tools]) if request.tools else chat
        messages = [
            message.model_copy(update={"artifact": None}) if isinstance(message, ToolMessage) else message
            for message in request.messages
        ]
        try:
            reply = await bound.ainvoke([SystemMessage(request.system_prompt), *messages])
        except (ValidationError, JSONDecodeError) as error:
            raise TransientError("what the model's endpoint sent can't be read as a message.") from error
        return _repairable(reply)


def _as_function(tool: ToolSpec) -> dict[str, Any]:
    parameters = tool.arguments_schema()
    parameters.pop("title", None)
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _repairable(reply: AIMessage) -> AIMessage:
    malformed = [
        {
            "name": call["name"] or "",
            "args": {"__malformed__": call["args"] or ""},
            "id": call["id"],
            "type": "tool_call",
        }
        for call in reply.invalid_tool_calls
    ]
    if not malformed:
        return reply
    return reply.model_copy(update={"tool_calls": [*reply.tool_calls, *malformed], "invalid_tool_calls": []})
