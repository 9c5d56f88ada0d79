"""The log of a command: lines on its error output, without private data."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from typing_extensions import override

from core.errors import ConfigurationError
from core.settings import settings

_log = logging.getLogger(__name__)


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
    """Let warnings and errors of this process be written by `LogLines`, those of Python itself too."""
    root = logging.getLogger()
    if not any(isinstance(handler, LogLines) for handler in root.handlers):
        root.addHandler(LogLines(logging.WARNING))
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is SystemExit:
        return
    name = failed.thread.name if failed.thread else "?"
    _log.error("The thread %s has failed.", name, exc_info=_raised(failed))


def _unraisable(failed: sys.UnraisableHookArgs) -> None:
    where = getattr(failed.object, "__qualname__", type(failed.object).__qualname__)
    _log.error("%s: %s.", failed.err_msg or "Exception ignored in", where, exc_info=_raised(failed))


def _raised(failed: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> Any:
    return failed.exc_type, failed.exc_value, failed.exc_traceback


def _as_json() -> bool:
    try:
        return settings().log_format == "json"
    except ConfigurationError:  # the command says so itself
        return False
