"""Makes a tool under contract of what an MCP server says of one."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from mcp import types

from core.text import visible
from guardrails.approval import ApprovalPolicy, Demand, never
from tools.contract import ONCE, Retry, Tool
from tools.injection import KEY
from tools.mcp.arguments import arguments_by_schema
from tools.mcp.pins import Description
from tools.mcp.settings import McpEffect, McpServer, McpToolTerms

KEY_IN_META = "boring/idempotency-key"
"""Where a call's idempotency key stands in its `_meta`."""
MAX_DESCRIPTION_CHARS = 2000
_MAX_NAME_CHARS = 64
_STRICTNESS: dict[McpEffect, int] = {"read": 0, "idempotent": 1, "unsafe": 2}
Call = Callable[[dict[str, Any], dict[str, Any] | None], Awaitable[Any]]
"""Calls the tool with its arguments and the call's `_meta`."""


def description_of(tool: types.Tool) -> Description:
    """Return all that a server says of a tool and that a model or the runtime goes by."""
    said = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    parts = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
    return {part: said[part] for part in parts if part in said}


def effect_of(tool: types.Tool, server: McpServer) -> McpEffect:
    """Return a tool's effect.

    What the operator says of the tool is final. The server's `default_effect` is only made stricter by what
    the tool says of itself, never weaker. Where the operator says nothing, the tool's hints count, and
    without hints it is `unsafe`.
    """
    declared = server.tools.get(tool.name, McpToolTerms()).effect
    if declared is not None:
        return declared
    hinted = _hinted(tool.annotations)
    if server.default_effect is None:
        return hinted or "unsafe"
    return max(server.default_effect, hinted or server.default_effect, key=_STRICTNESS.__getitem__)


def _hinted(hints: types.ToolAnnotations | None) -> McpEffect | None:
    if hints is None or (hints.readOnlyHint, hints.idempotentHint, hints.destructiveHint) == (None,) * 3:
        return None
    if hints.readOnlyHint:
        return "read"
    return "idempotent" if hints.idempotentHint else "unsafe"


def tool_names(listed: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the names that models call tools by, for pairs of a server's and a tool's name.

    A name is `server_tool`, always: one that got its prefix only when two clash would change whenever a
    server adds a tool. Models' endpoints take 64 letters, digits, `_` and `-`; other characters become `_`.
    Names that are longer, or the same after that, end in 8 hexadecimal digits of what they were.
    """
    pairs = list(dict.fromkeys(listed))
    plain = {pair: re.sub(r"[^A-Za-z0-9_-]", "_", "_".join(pair)) for pair in pairs}
    all_plain = list(plain.values())
    return {
        pair: name
        if len(name) <= _MAX_NAME_CHARS and all_plain.count(name) == 1
        else f"{name[: _MAX_NAME_CHARS - 9]}_{hashlib.sha256(repr(pair).encode()).hexdigest()[:8]}"
        for pair, name in plain.items()
    }


def contracted_mcp_tool(tool: types.Tool, server: McpServer, *, name: str, call: Call) -> Tool:
    """Return the tool under contract.

    Args:
        tool: as its server lists it.
        server: as the operator set it.
        name: for the model.
        call: reaches the server.

    Raises:
        ValueError: the tool can't be offered to a model; the message says why.
    """
    terms = server.tools.get(tool.name, McpToolTerms())
    effect = effect_of(tool, server)
    limits = {
        part: value
        for part in ("timeout_s", "max_concurrency", "max_result_chars")
        if (value := getattr(terms, part)) is not None
    }

    async def run(arguments: dict[str, Any], **injected: str) -> Any:
        return await call(arguments, {KEY_IN_META: injected[KEY]} if injected else None)

    return Tool(
        name=name,
        description=_told(tool),
        arguments=arguments_by_schema(tool.inputSchema, name),
        run=run,
        effect=effect,
        retry=ONCE if effect == "unsafe" else Retry(),
        approval=_by_name(terms.approval_policy()),
        provenance=terms.provenance,
        injected={KEY: KEY} if effect == "idempotent" else {},
        **limits,
    )


def _by_name(policy: ApprovalPolicy) -> ApprovalPolicy:
    """Return a policy over the arguments as the server knows them."""
    if policy is never:
        return never

    def verdict(values: Mapping[str, Any]) -> str | Demand | None:
        return policy(values["arguments"])

    return verdict


def _told(tool: types.Tool) -> str:
    text = visible((tool.description or tool.title or f"The tool {tool.name}.").strip())
    if len(text) <= MAX_DESCRIPTION_CHARS:
        return text
    return f"{text[:MAX_DESCRIPTION_CHARS]} [cut]"
