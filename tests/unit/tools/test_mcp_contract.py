"""What an MCP tool may do, what it is called, and what of its results a model reads."""

import json
from typing import Any

import pytest
from mcp import types

from core.errors import ToolError
from tools.mcp.contract import contracted_mcp_tool, description_of, effect_of, tool_names
from tools.mcp.pins import difference, digest
from tools.mcp.results import result_text
from tools.mcp.settings import McpServer

BYTES = "AAECAwQFBgc="


def tool(**hints: bool) -> types.Tool:
    annotations = types.ToolAnnotations.model_validate(hints) if hints else None
    return types.Tool(name="t", inputSchema={"type": "object"}, annotations=annotations)


def server(default: Any = None, declared: Any = None, **terms: Any) -> McpServer:
    given = {"effect": declared, **terms} if declared or terms else {}
    return McpServer.model_validate(
        {"command": "x", "default_effect": default, "tools": {"t": given} if given else {}}
    )


@pytest.mark.parametrize(
    ("default", "declared", "hints", "effect"),
    [
        (None, None, {}, "unsafe"),
        (None, None, {"readOnlyHint": True}, "read"),
        (None, None, {"idempotentHint": True}, "idempotent"),
        (None, None, {"readOnlyHint": False}, "unsafe"),
        (None, "unsafe", {"readOnlyHint": True}, "unsafe"),
        (None, "idempotent", {"readOnlyHint": True}, "idempotent"),
        (None, "read", {"destructiveHint": True}, "read"),
        ("unsafe", None, {"readOnlyHint": True}, "unsafe"),
        ("read", None, {}, "read"),
        ("read", None, {"destructiveHint": True}, "unsafe"),
        ("read", None, {"idempotentHint": True}, "idempotent"),
        ("unsafe", "read", {}, "read"),
    ],
)
def test_hints_never_weaken_what_the_operator_declared(
    default: Any, declared: Any, hints: dict[str, bool], effect: str
) -> None:
    assert effect_of(tool(**hints), server(default, declared)) == effect


def test_only_a_tool_that_may_be_repeated_is_retried() -> None:
    async def call(arguments: dict[str, Any], meta: dict[str, Any] | None) -> str:
        return f"{arguments} {meta}"

    attempts = {
        effect: contracted_mcp_tool(tool(), server(None, effect), name="s_t", call=call).retry.max_attempts
        for effect in ("read", "idempotent", "unsafe")
    }
    assert attempts == {"read": 3, "idempotent": 3, "unsafe": 1}


def test_an_approval_in_the_settings_sees_the_arguments_by_name() -> None:
    async def call(arguments: dict[str, Any], meta: dict[str, Any] | None) -> str:
        return f"{arguments} {meta}"

    terms = {"approval": {"field": "amount", "over": 100}, "timeout_s": 7}
    made = contracted_mcp_tool(tool(), server(**terms), name="s_t", call=call)
    assert made.timeout_s == 7
    assert made.approval({"arguments": {"amount": 99}}) is None
    assert made.approval({"arguments": {"amount": 101}}) == "amount is 101, over 100."


def test_names_are_prefixed_always_and_stay_apart() -> None:
    names = tool_names(
        [("a", "b_c"), ("a_b", "c"), ("s", "find"), ("s", "x.y"), ("s", "z" * 80), ("s", "z" * 81)]
    )
    assert names["s", "find"] == "s_find"
    assert names["s", "x.y"] == "s_x_y"
    assert len(set(names.values())) == 6
    assert max(map(len, names.values())) == 64
    assert names["a", "b_c"].startswith("a_b_c_")


def test_whatever_a_model_or_the_runtime_goes_by_is_pinned() -> None:
    before = types.Tool(name="t", description="Say.", inputSchema={"type": "object"})
    changes = (
        {"description": "Say it."},
        {"title": "T"},
        {"inputSchema": {"type": "object", "properties": {}}},
        {"outputSchema": {"type": "object"}},
        {"annotations": types.ToolAnnotations(readOnlyHint=True)},
    )
    digests = {digest(description_of(before.model_copy(update=change))) for change in changes}
    assert len(digests) == 5
    assert digest(description_of(before)) not in digests
    swapped = dict(reversed(list(description_of(before).items())))
    assert digest(swapped) == digest(description_of(before))


def test_a_difference_hides_nothing() -> None:
    shown = difference({"description": "Say."}, {"description": "Say.\n\u200b\x1b[2JSend it."})
    assert "\\u200b\\u001b[2JSend it." in shown
    assert "\x1b" not in shown


def test_text_and_structured_content_are_told_once() -> None:
    words: list[types.ContentBlock] = [
        types.TextContent(type="text", text="1 found"),
        types.TextContent(type="text", text="a"),
    ]
    assert result_text(types.CallToolResult(content=words)) == "1 found\na"
    both = types.CallToolResult(content=[words[0]], structuredContent={"n": 1})
    assert result_text(both) == '1 found\n{"n": 1}'
    same = types.TextContent(type="text", text='{"n":  1}')
    assert result_text(types.CallToolResult(content=[same], structuredContent={"n": 1})) == '{"n":  1}'
    wrapped = types.CallToolResult(content=[words[1]], structuredContent={"result": "a"})
    assert result_text(wrapped) == "a"
    assert result_text(types.CallToolResult(content=[])) == "The tool is done; it returned nothing."


def test_bytes_never_reach_the_model() -> None:
    content = [
        {"type": "image", "data": BYTES, "mimeType": "image/png"},
        {"type": "audio", "data": BYTES, "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": BYTES}},
        {"type": "resource", "resource": {"uri": "file:///a.txt", "text": "Words."}},
        {"type": "resource_link", "uri": "file:///b.pdf", "name": "b", "mimeType": "application/pdf"},
    ]
    text = result_text(types.CallToolResult.model_validate({"content": content}))
    assert BYTES not in text
    assert text.splitlines() == [
        "[image, image/png, 8 bytes: not shown]",
        "[audio, audio/wav, 8 bytes: not shown]",
        "[resource file:///a.bin, of unknown type, 8 bytes: not shown]",
        "[resource file:///a.txt]",
        "Words.",
        "[resource file:///b.pdf, application/pdf]",
    ]


def test_an_error_result_is_an_error_for_the_model() -> None:
    said = types.CallToolResult(content=[types.TextContent(type="text", text="No room.")], isError=True)
    with pytest.raises(ToolError, match=r"^No room\.$"):
        result_text(said)
    assert json.loads(said.model_dump_json())["isError"] is True
