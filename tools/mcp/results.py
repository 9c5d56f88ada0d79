"""What a model reads of an MCP tool's result: text and JSON; of pictures and sound, that there are some."""

import json
from collections.abc import Iterator
from typing import Any

from mcp import types

from core.errors import ToolError


def result_text(result: types.CallToolResult) -> str:
    """Return the result as text.

    Structured content is added as JSON, where the text does not say the same already. Bytes are never shown.

    Raises:
        ToolError: the tool says that it failed; the message is what it says.
    """
    parts = [_block(block) for block in result.content]
    if result.isError:
        raise ToolError("\n".join(parts) or "The tool failed and does not say why.")
    structured = result.structuredContent
    if structured is not None and not any(value == structured for value in _said(result)):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return "\n".join(parts) or "The tool is done; it returned nothing."


def _said(result: types.CallToolResult) -> Iterator[Any]:
    """Yield what the text blocks say, as structured content would say it."""
    for block in result.content:
        if isinstance(block, types.TextContent):
            yield {"result": block.text}
            try:
                value = json.loads(block.text)
            except ValueError:
                continue
            yield value
            yield {"result": value}


def _block(block: types.ContentBlock) -> str:
    match block:
        case types.TextContent():
            return block.text
        case types.ImageContent() | types.AudioContent():
            return f"[{block.type}, {block.mimeType}, {_size(block.data)}: not shown]"
        case types.ResourceLink():
            about = f": {block.description}" if block.description else ""
            return f"[resource {block.uri}, {block.mimeType or 'of unknown type'}{about}]"
        case types.EmbeddedResource(resource=resource):
            if isinstance(resource, types.TextResourceContents):
                return f"[resource {resource.uri}]\n{resource.text}"
            kind = resource.mimeType or "of unknown type"
            return f"[resource {resource.uri}, {kind}, {_size(resource.blob)}: not shown]"


def _size(base64: str) -> str:
    return f"{len(base64.rstrip('=')) * 3 // 4:,} bytes"
