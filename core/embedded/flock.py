"""File locks that the kernel drops when their holder dies, however it dies.

A lock belongs to an open file, not to a process: a child that inherits the descriptor holds it too.
Source: flock(2).
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from core.errors import DatabaseError

_RETRY_S = 0.01


def locked(path: Path, *, shared: bool = False, timeout_s: float = 0.0) -> int | None:
    """Lock the file and return its descriptor, or None if others still hold it after the time.

    Closing the descriptor gives the lock back. This blocks: call it in a thread.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(_RETRY_S)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor


def is_held(path: Path, *, timeout_s: float = 0.0) -> bool:
    """Return whether anybody holds the lock, shared or not, during the whole of the time."""
    descriptor = locked(path, timeout_s=timeout_s)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def wait_until_free(path: Path) -> None:
    """Block until nobody holds the lock; for a process that has nothing else to do."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(path: Path, *, timeout_s: float) -> Generator[None]:
    """Hold the lock alone.

    Raises:
        DatabaseError: somebody else held it all the time.
    """
    descriptor = locked(path, timeout_s=timeout_s)
    if descriptor is None:
        raise DatabaseError(
            f"Another process held {path} for {timeout_s:.0f} s, so the embedded Postgres can't be started"
            f" or joined. See who it is with `fuser {path}`, end it, and try again."
        )
    try:
        yield
    finally:
        os.close(descriptor)
