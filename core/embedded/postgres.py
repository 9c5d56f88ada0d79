"""The embedded Postgres: one server for all processes of a project, there as long as any of them is."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psycopg

from core.embedded import binaries, watchdog
from core.embedded.flock import exclusive, is_held, locked
from core.embedded.home import create_folder, find_home, lock_file
from core.embedded.server import DATABASE, Server, failed
from core.errors import DatabaseError

_EXTENSIONS = ("vector", "pg_trgm", "unaccent", "btree_gin")
_JOIN_S = 180.0


@dataclass(frozen=True, slots=True)
class Status:
    """What there is of an embedded Postgres.

    Attributes:
        pid: the server's process id, 0 if it runs in another container, None if it does not run.
        data: where its data are, or None if there are none yet.
        has_clients: whether any process uses it.
        is_watched: whether the watchdog runs that will stop it.
    """

    pid: int | None
    data: Path | None
    has_clients: bool
    is_watched: bool


def status(folder: Path) -> Status:
    """Look without starting or changing anything. This blocks."""
    if not lock_file(folder, "server").exists():
        return Status(None, None, has_clients=False, is_watched=False)
    home = find_home(folder, create=False)
    return Status(
        pid=Server(home).pid(),
        data=home.data if home.data.exists() else None,
        has_clients=is_held(lock_file(folder, "clients")),
        is_watched=is_held(lock_file(folder, "watchdog")),
    )


def join(folder: Path) -> tuple[str, int]:
    """Start or join the server; return its address and the descriptor that keeps it. This blocks.

    Raises:
        DatabaseError: it can't be started.
    """
    try:
        create_folder(folder)
        with exclusive(lock_file(folder, "start"), timeout_s=_JOIN_S):
            return _join(folder)
    except OSError as error:
        raise DatabaseError(
            f"The embedded Postgres in {folder} can't be started: {error}."
            " Repair that, set BORING_DATA_DIR to another folder, or set DATABASE_URL."
        ) from error


def _join(folder: Path) -> tuple[str, int]:
    hold = locked(lock_file(folder, "clients"), shared=True, timeout_s=_JOIN_S)
    if hold is None:
        raise DatabaseError(
            f"{lock_file(folder, 'clients')} is held by a process that never lets it go. End it."
        )
    try:
        watchdog.ensure(folder)
        server = Server(find_home(folder, create=True))
        server.start()
        _prepare(server)
        # One that was being killed when it was looked for above held its lock for a moment more.
        watchdog.ensure(folder)
        return server.url(), hold
    except BaseException:
        os.close(hold)
        raise


def _prepare(server: Server) -> None:
    """Create the database and its extensions, once for each version of the binaries."""
    prepared = f"{binaries.version()} {' '.join(_EXTENSIONS)}"
    if server.home.note("prepared") == prepared:
        return
    try:
        _create_database(server.url())
    except psycopg.Error as error:
        raise failed(server.home, "create the database", str(error)) from error
    server.home.write_note("prepared", prepared)


def _create_database(url: str) -> None:
    with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
        found = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(f"create database {DATABASE}")
    with psycopg.connect(url, autocommit=True) as connection:
        for name in _EXTENSIONS:
            connection.execute(f"create extension if not exists {name}")
            connection.execute(f"alter extension {name} update")


def leave(folder: Path, hold: int) -> None:
    """Give up what `join` returned, and see to it that a server without clients ends. This blocks."""
    try:
        # Nothing is left to watch if the folder is gone.
        with contextlib.suppress(OSError):
            watchdog.ensure(folder)
    finally:
        os.close(hold)


class EmbeddedPostgres:
    """The embedded Postgres of a folder, as an async context manager whose value is its URL.

    The server is there for the length of the `async with`, or of the process if that is killed, and ends
    a moment after its last client. The URL is libpq's form, `postgresql://...?host=<folder of the socket>`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hold: int | None = None

    async def __aenter__(self) -> str:
        joining = asyncio.create_task(asyncio.to_thread(join, self._folder))
        try:
            url, self._hold = await asyncio.shield(joining)
        except asyncio.CancelledError:
            # The thread can't be cancelled; what it joins must be left again.
            joining.add_done_callback(self._leave_late)
            raise
        return url

    def _leave_late(self, joining: "asyncio.Task[tuple[str, int]]") -> None:
        if not joining.cancelled() and joining.exception() is None:
            os.close(joining.result()[1])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            await asyncio.shield(asyncio.to_thread(leave, self._folder, hold))
