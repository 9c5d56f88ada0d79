"""Where crashes are tried: a Postgres and a folder of their own, gone afterwards."""

import asyncio
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from core.embedded.flock import is_held
from core.embedded.home import lock_file
from core.embedded.postgres import join, leave
from core.migrations import apply_migrations

_STOP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the workers work."""

    folder: Path
    database_url: str
    model_url: str


@contextmanager
def embedded_database() -> Generator[str]:
    """Start a Postgres at the newest schema; stop it and remove its data afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="boring-crash-"))
    url, hold = join(folder)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            # The workers die, the machine does not: nothing has to wait for a disk.
            connection.execute("alter system set fsync = off")
            connection.execute("select pg_reload_conf()")
        asyncio.run(apply_migrations(url))
        yield url
    finally:
        leave(folder, hold)
        # The watchdog finds the server by this folder; without it, the server would be left running.
        is_held(lock_file(folder, "watchdog"), timeout_s=_STOP_S)
        shutil.rmtree(folder, ignore_errors=True)
