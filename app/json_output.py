"""What commands write for other programs: JSON that steers no terminal, should one show it."""

import json
from typing import Any

import typer

from core.text import json_without_steering


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON; a value of another type than JSON has is told as text."""
    return json_without_steering(json.dumps(value, default=str, ensure_ascii=False, indent=indent))


def write_json(value: Any, *, indent: int | None = None) -> None:
    """Write a value as JSON, see `json_text`."""
    typer.echo(json_text(value, indent=indent))
