"""The log of the server: LangGraph's own lines and ours, without private data."""

from typing import Any

from langgraph_api.logging import LOG_JSON, Formatter

from core.text import json_without_steering
from observability.logs import plain_event, private_event


class PrivateFormatter(Formatter):
    """Formats as the server does, after private data is taken out; no line steers a terminal."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        *before, renderer = self.processors
        shown = (renderer, _json) if LOG_JSON else (plain_event, renderer)
        self.processors = (*before, private_event, *shown)


def _json(_logger: Any, _method: str, line: Any) -> Any:
    return json_without_steering(line)
