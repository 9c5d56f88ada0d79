import asyncio
import shutil
import socket
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from core.embedded.flock import is_held
from core.embedded.home import lock_file
from core.embedded.postgres import join, leave
from core.embedded.server import DATABASE
from core.migrations import apply_migrations

_TEMPLATE = "migrated"
_numbers = count(1)


@pytest.fixture(autouse=True)
def only_loopback(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test but the marked ones speak to another machine."""
    if request.node.get_closest_marker("model") or request.node.get_closest_marker("setup"):
        return
    connect = socket.socket.connect

    def checked(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not ip_address(address[0]).is_loopback:
            raise PermissionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """One server for the whole session, as its superuser. For tables, take `postgres_url`."""
    # Not pytest's own temporary folder: root's is closed to the user that Postgres runs as.
    folder = Path(tempfile.mkdtemp(prefix="boring-tests-"))
    url, hold = join(folder)
    # The data need not survive the machine, so a new database waits for no disk.
    _execute(url, "alter system set fsync = off")
    _execute(url, "select pg_reload_conf()")
    yield url
    leave(folder, hold)
    assert not is_held(lock_file(folder, "watchdog"), timeout_s=60)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_template(database_url: str) -> str:
    """A database at the newest schema, to be copied and not to be connected to."""
    _execute(database_url, "create database {} template {}", _TEMPLATE, DATABASE)
    asyncio.run(apply_migrations(database_named(database_url, _TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def postgres_url(database_url: str, migrated_template: str) -> Iterator[str]:
    """A fresh database at the newest schema, gone after the test."""
    name = f"test_{next(_numbers)}"
    _execute(database_url, "create database {} template {}", name, migrated_template)
    yield database_named(database_url, name)
    _execute(database_url, "drop database {} with (force)", name)


@pytest.fixture
def empty_postgres_url(database_url: str) -> Iterator[str]:
    """A fresh database with nothing in it, gone after the test."""
    name = f"test_{next(_numbers)}"
    _execute(database_url, "create database {} template {}", name, "template0")
    yield database_named(database_url, name)
    _execute(database_url, "drop database {} with (force)", name)


def database_named(url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return url.replace(f"/{DATABASE}?", f"/{name}?")


def _execute(url: str, statement: LiteralString, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL(statement).format(*map(Identifier, names)))
