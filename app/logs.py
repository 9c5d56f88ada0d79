"""The log of a command: lines on its error output, without private data."""

import logging
import sys

from typing_extensions import override

from core.errors import ConfigurationError
from core.settings import settings


class LogLines(logging.Handler):
    """Writes what goes wrong, in the format that the settings name."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what it needs is imported with the first one, since most commands have none."""
        from observability.logs import line_of  # noqa: PLC0415

        try:
            sys.stderr.write(f"{line_of(record, as_json=_as_json())}\n")
        except Exception:  # noqa: BLE001 - as every handler of logging does, the program goes on
            self.handleError(record)


def write_log() -> None:
    """Let warnings and errors of this process be written by `LogLines`."""
    root = logging.getLogger()
    if not any(isinstance(handler, LogLines) for handler in root.handlers):
        root.addHandler(LogLines(logging.WARNING))


def _as_json() -> bool:
    try:
        return settings().log_format == "json"
    except ConfigurationError:  # the command says so itself
        return False
