"""The planner for models that call tools themselves."""

from collections.abc import Sequence
from functools import partial
from json import JSONDecodeError
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, SystemMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from pydantic import ValidationError

from core.errors import TransientError
from core.protocols import Model, PlanRequest, ResponseFormat, ToolSpec
from nodes.replies import reply_of
from nodes.response_schema import strict_schema
from nodes.structured import MALFORMED, fitting

_UNHEARD = RunnableConfig(tags=[TAG_NOSTREAM])


class ToolPlanner:
    """Plans by the model's own tool calling."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def plan(self, request: PlanRequest) -> AIMessage:
        """Return the model's message, with tool calls or with the answer.

        A call whose arguments are not JSON is kept as a call with one argument `__malformed__`, so that the
        tool runtime answers it like any other invalid call.
        """
        ask = partial(self._ask, request)
        if request.response_format is None:
            return await ask(())
        return await fitting(ask, request.response_format, request.messages)

    async def _ask(self, request: PlanRequest, said: Sequence[AnyMessage]) -> AIMessage:
        messages = [
            message.model_copy(update={"artifact": None}) if isinstance(message, ToolMessage) else message
            for message in (*request.messages, *said)
        ]
        system = SystemMessage(request.system_prompt + self._instruction(request.response_format))
        try:
            config = _UNHEARD if said or request.quiet else None
            reply = await reply_of(self._model, self._bound(request), [system, *messages], config)
        except (ValidationError, JSONDecodeError) as error:
            raise TransientError("what the model's endpoint sent can't be read as a message.") from error
        return _repairable(reply)

    def _bound(self, request: PlanRequest) -> Runnable[Any, AIMessage]:
        chat, wanted = self._model.chat, request.response_format
        functions = [_as_function(tool) for tool in request.tools]
        options: dict[str, Any] = {}
        if wanted and self._answers_by_schema:
            # In the body as it is: given as an option, the client would import a second of its beta parts.
            options["extra_body"] = {**(getattr(chat, "extra_body", None) or {}), **_json_schema(wanted)}
        elif wanted:
            functions.append(_function(wanted.name, _description(wanted), wanted.schema))
        if functions:
            return chat.bind_tools(functions, **options)
        return chat.bind(**options) if options else chat

    def _instruction(self, wanted: ResponseFormat | None) -> str:
        if wanted is None or self._answers_by_schema:
            return ""
        return f"\n\nGive your final answer only by calling {wanted.name}. An answer in words is not read."

    @property
    def _answers_by_schema(self) -> bool:
        return self._model.profile.structured_by == "json_schema"


def _json_schema(wanted: ResponseFormat) -> dict[str, Any]:
    schema, strict = strict_schema(wanted.schema)
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": wanted.name, "schema": schema, "strict": strict},
        }
    }


def _description(wanted: ResponseFormat) -> str:
    return f"Give the final answer, and end. {wanted.description}".strip()


def _as_function(tool: ToolSpec) -> dict[str, Any]:
    return _function(tool.name, tool.description, tool.arguments_schema())


def _function(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    without_title = {key: value for key, value in parameters.items() if key != "title"}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": without_title},
    }


def _repairable(reply: AIMessage) -> AIMessage:
    malformed = [
        {
            "name": call["name"] or "",
            "args": {MALFORMED: call["args"] or ""},
            "id": call["id"],
            "type": "tool_call",
        }
        for call in reply.invalid_tool_calls
    ]
    if not malformed:
        return reply
    return reply.model_copy(update={"tool_calls": [*reply.tool_calls, *malformed], "invalid_tool_calls": []})
