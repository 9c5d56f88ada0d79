"""The log of the server: LangGraph's own lines and ours, without private data."""

from typing import Any

from langgraph_api.logging import Formatter

from observability.logs import private_event


class PrivateFormatter(Formatter):
    """Formats as the server does, after private data is taken out."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        *before, renderer = self.processors
        self.processors = (*before, private_event, renderer)
