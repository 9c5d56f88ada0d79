"""Structured answers: what a model wrote is validated, and asked for again with its mistakes, a few times."""

import json
import re
from collections.abc import Awaitable, Callable, Container, Sequence
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.utils import count_tokens_approximately
from pydantic import BaseModel, ValidationError

from core.client_errors import named_error
from core.protocols import ResponseFormat
from core.state import Stop
from core.text import storable, storable_text
from nodes.response_schema import response_schema

MAX_REPAIR_ROUNDS = 2
"""How often in one step the model is told its mistakes and asked again."""
MALFORMED = "__malformed__"
"""The one argument of a call whose arguments are not JSON: what the model wrote instead."""
MAX_NAMED_ERRORS = 20
MAX_GIVEN_CHARS = 80
Ask = Callable[[Sequence[AnyMessage]], Awaitable[AIMessage]]
"""Asks the model; takes what was said in earlier rounds, which follows the conversation."""


def answer_form(model: type[BaseModel], *, taken: Container[str] = ()) -> ResponseFormat:
    """Return the form of an answer that `model` is made from.

    Args:
        model: a Pydantic model.
        taken: names of tools, which the form may not have.

    Raises:
        TypeError: `model` is no Pydantic model.
        ValueError: it is not made from a JSON object, or has the name of a tool.
    """
    if not (isinstance(model, type) and issubclass(model, BaseModel)):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
        raise TypeError(f"response_format is {model!r}; expected a subclass of pydantic.BaseModel")
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", model.__name__)[:64]
    if name in taken:
        raise ValueError(
            f"a tool and response_format share the name {name!r}; the model could not tell them apart"
        )
    return ResponseFormat(
        name=name,
        description=(model.__doc__ or "").strip(),
        schema=response_schema(model),
        errors=partial(_errors, model),
    )


def _errors(model: type[BaseModel], text: str) -> list[str]:
    try:
        model.model_validate_json(text)
    except ValidationError as error:
        return [_line(dict(item)) for item in error.errors(include_url=False)[:MAX_NAMED_ERRORS]]
    except Exception as error:  # noqa: BLE001 - a validator of the model's own may raise anything
        return [f"- the whole: {named_error(error)}"]
    return []


def _line(item: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "the whole"
    has_value = item["type"] not in {"missing", "json_invalid"}
    given = f" (given: {repr(item['input'])[:MAX_GIVEN_CHARS]})" if has_value else ""
    return f"- {where}: {item['msg']}{given}"


async def fitting(ask: Ask, wanted: ResponseFormat, conversation: Sequence[AnyMessage]) -> AIMessage:
    """Return a message with tool calls, or with an answer in the wanted form as its JSON text.

    A call of the function `wanted.name` counts as an answer; where other tools are called in the same
    message, they go first and the answer is dropped. The message carries the tokens of all rounds. After
    the last round it may still not fit: `unfit` tells.

    Args:
        ask: asks the model.
        wanted: the form.
        conversation: what `ask` sends at least, for an estimate where the endpoint reports no usage.
    """
    said: list[AnyMessage] = []
    usage: UsageMetadata | None = None
    for _ in range(1 + MAX_REPAIR_ROUNDS):
        reply = _with_ids(await ask(said))
        usage = add_usage(usage, reply.usage_metadata or _estimate([*conversation, *said], reply))
        others = [call for call in reply.tool_calls if call["name"] != wanted.name]
        if others:
            return reply.model_copy(update={"tool_calls": others, "usage_metadata": usage})
        text = _answer_text(reply)
        answer = reply.model_copy(update={"content": text, "tool_calls": [], "usage_metadata": usage})
        errors = _mistakes(reply, text, wanted)
        if not errors:
            return answer
        said += [reply, *_corrections(reply, errors)]
    return answer  # pyright: ignore[reportPossiblyUnboundVariable] - there is a first round


def unfit(message: AIMessage, wanted: ResponseFormat | None) -> Stop | None:
    """Return why the turn has to end, where the answer does not have the wanted form."""
    if wanted is None or message.tool_calls:
        return None
    errors = wanted.errors(message.text)
    if not errors:
        return None
    listed = "\n".join(errors)
    return Stop(
        reason="failed",
        message=f"I could not give the answer in the form {wanted.name} in {1 + MAX_REPAIR_ROUNDS} rounds. "
        f"What was wrong in the last one:\n{listed}",
    )


def _with_ids(reply: AIMessage) -> AIMessage:
    """Give calls without an id one, since a correction has to name its call."""
    calls = [{**call, "id": call["id"] or f"call_{n}"} for n, call in enumerate(reply.tool_calls)]
    return reply.model_copy(update={"tool_calls": calls})


def _estimate(asked: Sequence[AnyMessage], reply: AIMessage) -> UsageMetadata:
    used_in, used_out = count_tokens_approximately(asked), count_tokens_approximately([reply])
    return UsageMetadata(input_tokens=used_in, output_tokens=used_out, total_tokens=used_in + used_out)


def _answer_text(reply: AIMessage) -> str:
    if reply.tool_calls:
        arguments = reply.tool_calls[0]["args"]
        if MALFORMED in arguments:
            return storable_text(arguments[MALFORMED])
        return json.dumps(storable(arguments), ensure_ascii=False)
    return storable_text(reply.text).strip()


def _mistakes(reply: AIMessage, text: str, wanted: ResponseFormat) -> str:
    """Return what the model is told of its answer, or nothing where it fits."""
    if len(reply.tool_calls) > 1:
        return f"You called {wanted.name} {len(reply.tool_calls)} times. Give one answer."
    if not (errors := wanted.errors(text)):
        return ""
    cut = "It was cut off; write less. " if reply.response_metadata.get("finish_reason") == "length" else ""
    listed = "\n".join(errors)
    return f"Your answer is no valid {wanted.name}. {cut}Correct it:\n{listed}"


def _corrections(reply: AIMessage, errors: str) -> list[AnyMessage]:
    if not reply.tool_calls:
        return [HumanMessage(errors)]
    return [
        ToolMessage(errors, tool_call_id=call["id"], name=call["name"], status="error")
        for call in reply.tool_calls
    ]
