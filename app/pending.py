"""Requests that were taken from the user but are not yet in the database.

Between the command's first moment and the run's row lie seconds: imports, the start of the database, of the
model. A request is written down here before them, so that a kill in between loses nothing.
"""

import json
import re
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from core.context import RunContext
from core.errors import InputError
from core.settings import settings

_THREAD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one thread, and the id of the run that answers it."""

    thread_id: str
    run_id: str
    question: str
    context: dict[str, str | int | float]


def check_thread(thread_id: str) -> str:
    """Return `thread_id` if it can be one.

    Raises:
        InputError: it has characters that do not belong into one.
    """
    if not _THREAD.fullmatch(thread_id):
        raise InputError(
            f"{thread_id!r} can't be a thread: use 1 to 100 letters, digits and . _ : - and begin "
            "with a letter or digit."
        )
    return thread_id


def new_thread() -> str:
    """Return a name for a new thread, short enough to be typed."""
    return f"t-{uuid.uuid4().hex[:10]}"


def new_request(question: str, thread_id: str, context: RunContext) -> Request:
    """Return a request that is written down, so that a kill from here on loses nothing."""
    request = Request(thread_id, str(uuid.uuid4()), question, asdict(context))
    write_down(settings().data_dir, request)
    return request


def write_down(data_dir: Path, request: Request) -> None:
    """Keep a request until `strike_off`. Whole or not at all."""
    path = _path(data_dir, request.thread_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(f".{request.run_id}.tmp")
    draft.write_text(json.dumps(asdict(request)), encoding="utf-8")
    draft.replace(path)


def strike_off(data_dir: Path, request: Request) -> None:
    """Forget a request: its run is recorded, or it can't be worked on."""
    if written_down(data_dir, request.thread_id) == request:
        _path(data_dir, request.thread_id).unlink(missing_ok=True)


def written_down(data_dir: Path, thread_id: str) -> Request | None:
    """Return the request of a thread that no database knows of yet."""
    path = _path(data_dir, thread_id)
    return Request(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def all_written_down(data_dir: Path) -> list[Request]:
    """Return the requests of all threads that no database knows of yet."""
    files = sorted((data_dir / "pending").glob("*.json"))
    return [Request(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def _path(data_dir: Path, thread_id: str) -> Path:
    return data_dir / "pending" / f"{thread_id.replace(':', '=')}.json"
