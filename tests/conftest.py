import asyncio
import atexit
import gc
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal
from pydantic import SecretStr

from core.database import Database
from core.embedded.flock import is_held
from core.embedded.home import lock_file
from core.embedded.postgres import join, leave
from core.embedded.server import DATABASE, ROLE
from core.process import opened_process
from core.settings import Settings
from tests.commands import startable
from tests.grouping import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from tests.unclosed import name_openers

_TEMPLATE = "migrated"
_MEMORY = Path("/dev/shm")  # noqa: S108 - each folder in it has a random name
_WORKER_BYTES = 2**30
_FORGOTTEN_S = 600.0
_numbers = count(1)

name_openers()
gc.disable()  # looking for garbage takes half the time of collecting the tests
atexit.register(gc.unfreeze)  # DuckDB tells of all its types, as leaks, that are left at the very end


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int | None:
    """Run two tests at once on each core, since half of the time they wait; fewer if memory is short."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(2 * (os.cpu_count() or 1), memory // _WORKER_BYTES))


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """A folder with a `boring` and a `python` that are forked, for what starts a program by its name."""
    with startable() as folder:
        yield folder


@pytest.fixture(autouse=True)
def only_loopback(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test but the marked ones speak to another machine.

    Nor do they read who is trusted there: every chat model of LangChain's would, twice, for 20 ms each.
    """
    if request.node.get_closest_marker("model") or request.node.get_closest_marker("setup"):
        return
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)
    connect = socket.socket.connect

    def checked(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not ip_address(address[0]).is_loopback:
            raise PermissionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)


@pytest.fixture(scope="session")
def server_place() -> Path:
    """Where the folders of Postgres servers are made: in memory, if it has room.

    A new database costs a tenth there. It is not pytest's own temporary folder: root's is closed to the user
    that Postgres runs as.
    """
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 * _WORKER_BYTES
    place = _MEMORY if roomy else Path(tempfile.gettempdir())
    for folder in place.glob("boring-tests-*"):
        _remove_forgotten(folder)
    return place


@pytest.fixture(scope="session")
def database_url(server_place: Path) -> Iterator[str]:
    """One server for the whole session, as its superuser. For tables, take `postgres_url`."""
    folder = Path(tempfile.mkdtemp(prefix="boring-tests-", dir=server_place))
    url, hold = join(folder)
    with psycopg.connect(url, autocommit=True) as connection:
        # The data need not survive the machine, so a new database waits for no disk.
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
        connection.execute("alter system set max_wal_size = '256MB'")
        connection.execute("select pg_reload_conf()")
        # Making the password costly to guess takes each client 4 ms a connection; it is random and long.
        connection.execute("set scram_iterations = 1")
        secret = conninfo_to_dict(url)["password"]
        connection.execute(SQL("alter role {} password {}").format(Identifier(ROLE), Literal(secret)))
    yield url
    leave(folder, hold)
    assert not is_held(lock_file(folder, "watchdog"), timeout_s=60)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def administration(database_url: str) -> Iterator[psycopg.Connection]:
    """The connection that makes and drops databases; a new one for each takes longer than dropping."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def migrated_template(
    database_url: str, administration: psycopg.Connection, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A database with all that a first turn would make in it, to be copied and not to be connected to."""
    administration.execute(
        SQL("create database {} template {}").format(*map(Identifier, (_TEMPLATE, DATABASE)))
    )
    asyncio.run(_set_up(database_named(database_url, _TEMPLATE), tmp_path_factory.mktemp(_TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def postgres_url(
    database_url: str, administration: psycopg.Connection, migrated_template: str
) -> Iterator[str]:
    """A fresh database at the newest schema, gone after the test."""
    with _copied(administration, migrated_template) as name:
        yield database_named(database_url, name)


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The fresh database of `postgres_url`, as an opened process has it."""
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_process(settings) as process:
        yield await process.database()


@pytest.fixture
def empty_postgres_url(database_url: str, administration: psycopg.Connection) -> Iterator[str]:
    """A fresh database with nothing in it, gone after the test."""
    with _copied(administration, "template0") as name:
        yield database_named(database_url, name)


def database_named(url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return url.replace(f"/{DATABASE}?", f"/{name}?")


async def _set_up(url: str, folder: Path) -> None:
    from memory.checkpoints import postgres_checkpointer  # noqa: PLC0415 - takes long, and not every test needs it

    async with opened_process(
        Settings(database_url=SecretStr(url), data_dir=folder, cache_dir=folder)
    ) as process:
        await postgres_checkpointer()
        async with (await process.database()).pool.connection() as connection:
            await connection.execute("select boring.make_span_day((now() at time zone 'UTC')::date)")


def _remove_forgotten(folder: Path) -> None:
    """Remove what a session that was killed has left."""
    with suppress(OSError):  # another session removes it too, or it is another user's
        lock = lock_file(folder, "clients")
        if time.time() - folder.stat().st_mtime > _FORGOTTEN_S and lock.exists() and not is_held(lock):
            shutil.rmtree(folder)


@contextmanager
def _copied(administration: psycopg.Connection, template: str) -> Generator[str]:
    name, form = f"test_{next(_numbers)}", "create database {} template {} strategy file_copy"
    administration.execute(SQL(form).format(Identifier(name), Identifier(template)))
    yield name
    administration.execute(SQL("drop database {} with (force)").format(Identifier(name)))
