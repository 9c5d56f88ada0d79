"""The planner for models that can't be trusted to call tools: one structured answer picks the call.

Source: measured on Qwen2.5-Coder-1.5B-Instruct: with a schema over all tools, bounded strings and about
eleven examples as chat turns it picks tool and arguments reliably; its own tool calling does not.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.constants import TAG_NOSTREAM

from core.errors import TransientError
from core.protocols import Model, PlanRequest
from memory.buffer import with_earlier_turns
from nodes.plan_examples import plan_prefix, plan_text
from nodes.plan_schema import ANSWER, MAX_CALLS, bounded_schema, plan_schema
from nodes.replies import reply_of
from nodes.structured import fitting
from tools.records import CallRecord

MAX_PLAN_TOKENS = 160
MAX_REPAIRS = 2
_FROM_RESULT = (
    "Answer in plain words, in one to three short sentences, with the facts, names and numbers of the tool "
    "result. If it does not hold the answer, say that you did not find it. My question was: "
)
_FORM_FROM_RESULT = "Answer as JSON with the facts, names and numbers of the tool result. My question was: "
_NOTHING = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)


class SchemaPlanner:
    """Plans by one structured answer over the arguments of all tools, then answers by a second call."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def plan(self, request: PlanRequest) -> AIMessage:
        """Return a message with a tool call, or with the answer and the tokens of both calls.

        Where the request allows several, there may be some.

        Raises:
            TransientError: what the model wrote is no plan; another attempt may give one.
        """
        turn = request.messages[request.turn_start :]
        if not request.tools or self._has_to_answer(turn):
            words = "" if request.response_format else _own_words(turn)
            return AIMessage(words, usage_metadata=_NOTHING) if words else await self._answer(request)
        chosen = await self._choose(request)
        return chosen if chosen.tool_calls else _together(chosen, await self._answer(request))

    def _has_to_answer(self, turn: Sequence[AnyMessage]) -> bool:
        results = [message for message in turn if isinstance(message, ToolMessage)]
        failed = sum(message.status == "error" for message in results)
        return len(results) - failed >= self._model.profile.tool_rounds or failed > MAX_REPAIRS

    async def _choose(self, request: PlanRequest) -> AIMessage:
        prefix = plan_prefix(request.tools, several=request.several)
        await self._model.remember(prefix)
        chooser = self._model.chat.bind(
            extra_body=_constrained_to("plan", plan_schema(request.tools, several=request.several)),
            max_completion_tokens=MAX_PLAN_TOKENS * (MAX_CALLS if request.several else 1),
        )
        config = RunnableConfig(tags=[TAG_NOSTREAM], run_name="choose")
        reply = await reply_of(self._model, chooser, [*prefix, *_turn_as_chat(request)], config)
        return AIMessage(content="", tool_calls=_calls(reply.text), usage_metadata=reply.usage_metadata)

    async def _answer(self, request: PlanRequest) -> AIMessage:
        ask, wanted = partial(self._write, request), request.response_format
        return await ask(()) if wanted is None else await fitting(ask, wanted, request.messages)

    async def _write(self, request: PlanRequest, said: Sequence[AnyMessage]) -> AIMessage:
        if request.examples:
            return await self._follow(request, said)
        earlier = [
            message
            for message in request.messages[: request.turn_start]
            if isinstance(message, HumanMessage)
            or (isinstance(message, AIMessage) and not message.tool_calls)
        ]
        turn, wanted = request.messages[request.turn_start :], request.response_format
        # A small model answers what it read last: after long results it needs its question once more.
        repeating = _FROM_RESULT if wanted is None else _FORM_FROM_RESULT
        again = [HumanMessage(repeating + turn[0].text)] if len(turn) > 1 else []
        system = SystemMessage("\n\n".join(part for part in (request.system_prompt, request.known) if part))
        return await self._said(request, [system, *earlier, *turn, *again, *said], quiet=bool(said))

    async def _follow(self, request: PlanRequest, said: Sequence[AnyMessage]) -> AIMessage:
        """Return what the model writes after examples: the conversation has the form of one of them."""
        prefix = [SystemMessage(request.system_prompt), *request.examples]
        await self._model.remember(prefix)
        return await self._said(request, [*prefix, *_turn_as_chat(request), *said], quiet=bool(said))

    async def _said(self, request: PlanRequest, messages: Sequence[AnyMessage], *, quiet: bool) -> AIMessage:
        chat: Runnable[Any, AIMessage] = self._model.chat
        if (wanted := request.response_format) is not None:
            chat = chat.bind(extra_body=_constrained_to(wanted.name, bounded_schema(wanted.schema)))
        config = RunnableConfig(tags=[TAG_NOSTREAM]) if quiet or request.quiet else None
        return await reply_of(self._model, chat, messages, config)


def _own_words(turn: Sequence[AnyMessage]) -> str:
    """Return what was done and what agents report, in their own words: a small model would add to them."""
    results = [one for one in turn if isinstance(one, ToolMessage) and one.status != "error"]
    records = [cast("CallRecord", one.artifact or {}) for one in results]
    if all(record.get("effect", "read") == "read" for record in records):
        return ""
    if len(results) == 1:
        return results[0].text
    named = [f"{record.get('tool')}: " if record.get("effect") == "agent" else "" for record in records]
    return "\n".join(f"- {name}{one.text}" for name, one in zip(named, results, strict=True))


def _constrained_to(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    # In the body as it is: given as an option, the client would import a second of its beta parts.
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema}},
    }


def _turn_as_chat(request: PlanRequest) -> list[AnyMessage]:
    """Return the running turn in the form of the examples: calls as JSON, failures as the user's words."""
    chat: list[AnyMessage] = []
    earlier = request.messages[: request.turn_start]
    for message in request.messages[request.turn_start :]:
        if isinstance(message, HumanMessage):
            chat.append(HumanMessage(with_earlier_turns(message.text, earlier)))
        elif isinstance(message, AIMessage) and message.tool_calls:
            calls = [{"tool": call["name"], **call["args"]} for call in message.tool_calls]
            chat.append(AIMessage(plan_text(calls, several=request.several)))
        elif isinstance(message, ToolMessage):
            advice = "\nCorrect the call." if message.status == "error" else "\nWhat is next?"
            chat.append(HumanMessage(f"Tool result: {message.text}{advice}"))
    return chat


def _calls(text: str) -> list[dict[str, Any]]:
    try:
        plan = json.loads(text)
        calls = [dict(call) for call in (plan["calls"] if "calls" in plan else [plan["call"]])]
        named = [(str(call.pop("tool")), call) for call in calls]
    except (ValueError, KeyError, TypeError) as error:
        raise TransientError(f"The model wrote {text[:200]!r}, which is not a plan.") from error
    return [
        {"name": name, "args": call, "id": "", "type": "tool_call"} for name, call in named if name != ANSWER
    ]


def _together(choice: AIMessage, answer: AIMessage) -> AIMessage:
    usage = add_usage(choice.usage_metadata, answer.usage_metadata)
    return answer.model_copy(update={"usage_metadata": usage})
