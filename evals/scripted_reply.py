"""What a scripted model says, and how that looks in the OpenAI chat format."""

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

ChatRequest = dict[str, Any]
"""The JSON body of one chat completion request."""


def _fresh(prefix: str) -> str:
    return f"{prefix}{uuid.uuid4().hex[:24]}"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call the scripted model makes.

    Attributes:
        name: the tool.
        arguments: a mapping, or the raw string to send, to script arguments that are not JSON.
        id: unset, a fresh one each time, as real models give.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict[str, Any])
    id: str | None = None

    def wire(self) -> dict[str, Any]:
        """Return the call in the OpenAI format."""
        raw = self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)
        return {
            "id": self.id or _fresh("call_"),
            "type": "function",
            "function": {"name": self.name, "arguments": raw},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the scripted model, good or bad.

    Attributes:
        text: what it says; JSON text where the request asks for a structured answer.
        tool_calls: the calls it makes.
        delay_s: silence before the first byte.
        token_delay_s: silence before each streamed piece after the first.
        status: an HTTP status; from 400 on, an error is sent instead of an answer.
        retry_after_s: sent as `Retry-After` with an error.
        malformed: send a body that is not JSON.
        drop_after: hang up after that many streamed pieces; not streamed, in the middle of the body.
        prompt_tokens: reported usage; unset, a quarter of the request's characters.
        completion_tokens: reported usage; unset, the number of pieces.
        cached_tokens: the part of the prompt reported as read from the cache.
        finish_reason: unset, `stop` or `tool_calls` as fits.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    delay_s: float = 0.0
    token_delay_s: float = 0.0
    status: int = 200
    retry_after_s: float | None = None
    malformed: bool = False
    drop_after: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    finish_reason: str | None = None

    def pieces(self) -> list[str]:
        """Return the text as it is streamed: words with the space before them."""
        return re.findall(r"\s*\S+|\s+$", self.text)

    def ending(self) -> str:
        """Return the finish reason."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    def usage(self, request: ChatRequest) -> dict[str, Any]:
        """Return the token usage, counted roughly where the script does not say."""
        prompt = self.prompt_tokens
        if prompt is None:
            prompt = max(1, len(json.dumps(request.get("messages"))) // 4)
        completion = self.completion_tokens
        if completion is None:
            completion = max(
                1, len(self.pieces()) + sum(len(str(call.arguments)) for call in self.tool_calls) // 4
            )
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


def completion(reply: Reply, request: ChatRequest) -> dict[str, Any]:
    """Return the answer as one body."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [call.wire() for call in reply.tool_calls]
    elif not reply.text:
        message["content"] = ""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.ending()}
    head = _head("chat.completion", request)
    return {**head, "choices": [choice], "usage": reply.usage(request)}


def chunks(reply: Reply, request: ChatRequest) -> Iterator[dict[str, Any]]:
    """Yield the answer as streamed chunks; the last carries the usage if the request asks for it."""
    head = _head("chat.completion.chunk", request)
    options: Mapping[str, Any] = request.get("stream_options") or {}
    with_usage = bool(options.get("include_usage"))
    ending = {} if not with_usage else {"usage": None}
    for delta in _deltas(reply):
        yield {**head, "choices": [_choice(delta, None)], **ending}
    yield {**head, "choices": [_choice({}, reply.ending())], **ending}
    if with_usage:
        yield {**head, "choices": [], "usage": reply.usage(request)}


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    yield {
        "role": "assistant",
        "content": None if reply.tool_calls and not reply.text else "",
        "refusal": None,
    }
    for piece in reply.pieces():
        yield {"content": piece}
    for index, call in enumerate(reply.tool_calls):
        whole = call.wire()
        raw: str = whole["function"]["arguments"]
        opening = {**whole, "index": index, "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [opening]}
        for start in range(0, len(raw), 8):
            yield {"tool_calls": [{"index": index, "function": {"arguments": raw[start : start + 8]}}]}


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _head(kind: str, request: ChatRequest) -> dict[str, Any]:
    return {
        "id": _fresh("chatcmpl-"),
        "object": kind,
        "created": int(time.time()),
        "model": request["model"],
        "system_fingerprint": "fp_scripted",
    }
