"""Whether arguments keep to a tool's contract."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from core.client_errors import named_error
from tools.contract import Tool
from tools.results import describe_invalid


def validated(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return the arguments by name as the tool takes them, or what is wrong with them, for the model."""
    try:
        valid = tool.arguments.model_validate(arguments, extra="forbid")
    except ValidationError as error:
        return describe_invalid(tool, error, arguments)
    except Exception as error:  # noqa: BLE001 - a validator of the tool's own may raise anything
        return f"The arguments of {tool.name} can't be validated: {named_error(error)}"
    fields = type(valid).model_fields
    return {name: getattr(valid, name) for name in fields if name not in tool.injected}
