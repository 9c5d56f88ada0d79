import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString
from urllib.parse import quote

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal
from pydantic import SecretStr

from core.database import Database, opened_database
from core.embedded import binaries
from core.embedded.flock import is_held
from core.embedded.home import lock_file
from core.embedded.postgres import join, leave
from core.errors import DatabaseError
from core.settings import Settings
from tests.unclosed import tell_unclosed

_PASSWORD = "s3cret/p@ss"  # noqa: S105 - made for the server of this test


def _settings(url: str) -> Settings:
    return Settings(database_url=SecretStr(url), data_dir=Path("/nonexistent"))


async def _refusal(url: str) -> str:
    """Return the message with which the address is refused, which comes in seconds and holds no secret."""
    began = time.monotonic()
    with pytest.raises(DatabaseError) as caught:
        async with opened_database(_settings(url)):
            pass
    assert time.monotonic() - began < 8
    said = str(caught.value)
    for secret in (_PASSWORD, quote(_PASSWORD, safe=""), "s3cret", "p@ss"):
        assert secret not in said
    return said


@asynccontextmanager
async def _role(url: str, attributes: LiteralString = "") -> AsyncGenerator[str]:
    """Make a role and yield the address of the same database under its name."""
    statement = SQL("create role limited login password {} " + attributes).format(Literal(_PASSWORD))
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement)
        try:
            yield _as_limited(url)
        finally:
            await connection.execute("drop owned by limited cascade")
            await connection.execute("drop role limited")


def _as_limited(url: str, password: str = _PASSWORD) -> str:
    parts = conninfo_to_dict(url)
    host = quote(str(parts["host"]), safe="")
    return f"postgresql://limited:{quote(password, safe='')}@/{parts['dbname']}?host={host}&port=5432"


async def test_a_given_database_is_opened_at_the_newest_schema(empty_postgres_url: str) -> None:
    async with opened_database(_settings(empty_postgres_url)) as database:
        assert not database.embedded
        async with database.pool.connection() as connection:
            assert connection.autocommit
            cursor = await connection.execute("select count(*) as n from boring.run")
            assert await cursor.fetchone() == {"n": 0}


async def test_the_pool_outlives_its_connections(postgres_url: str, database_url: str) -> None:
    async with opened_database(_settings(postgres_url)) as database:
        async with database.pool.connection() as connection:
            pid = connection.info.backend_pid
        async with await AsyncConnection.connect(database_url, autocommit=True) as other:
            await other.execute("select pg_terminate_backend(%s, 5000)", (pid,))
        async with database.pool.connection() as connection:
            await connection.execute("select 1")


async def test_a_connection_that_nobody_closes_is_told_with_who_opened_it(postgres_url: str) -> None:
    connection = await AsyncConnection.connect(postgres_url)
    with pytest.warns(
        ResourceWarning, match="test_a_connection_that_nobody_closes.*\n(.*\n)+.*test_database.py"
    ):
        tell_unclosed(connection)
    await connection.close()
    tell_unclosed(connection)


async def test_a_database_shows_no_password(postgres_url: str) -> None:
    async with opened_database(_settings(postgres_url)) as database:
        assert isinstance(database, Database)
        assert str(conninfo_to_dict(postgres_url)["password"]) not in repr(database)


def test_without_an_address_the_embedded_one_is_opened_and_nothing_blocks_the_loop() -> None:
    folder = Path(tempfile.mkdtemp(prefix="boring-tests-"))
    folder.chmod(0o755)
    code = """
import asyncio, sys
from pathlib import Path
from blockbuster import BlockBuster
from core.database import opened_database
from core.settings import Settings

async def main():
    for _ in range(2):
        async with opened_database(Settings(data_dir=Path(sys.argv[1]), database_url=None)) as database:
            assert database.embedded
            async with database.pool.connection() as connection:
                await connection.execute("select from boring.run")

BlockBuster().activate()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code, folder], check=False, capture_output=True, text=True)
    if done.returncode == -signal.SIGSEGV:
        pytest.skip("the detector, which patches the interpreter, crashed this one")
    assert done.returncode == 0, done.stderr
    assert not is_held(lock_file(folder / "postgres", "watchdog"), timeout_s=60)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{_PASSWORD}@localhost:5432/name",
        f"postgresql+psycopg://user:{quote(_PASSWORD)}@localhost/name",
        f"postgresql://user:{quote(_PASSWORD)}@localhost:fivethousand/name",
        f"mysql://user:{_PASSWORD}@localhost/name",
        "postgresql://user:12/s3cret@localhost/name",
        "s3cret",
    ],
)
async def test_an_address_that_cannot_be_read_is_refused_without_showing_it(url: str) -> None:
    assert "percent-encoded" in await _refusal(url)


async def test_a_refused_connection_names_host_and_port() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        said = await _refusal(f"postgresql://user:{quote(_PASSWORD, safe='')}@127.0.0.1:{port}/name")
    assert f"No Postgres answers at 127.0.0.1:{port}" in said


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = await _refusal(f"postgresql://user@127.0.0.1:{silent.getsockname()[1]}/name")
    assert "did not answer within 5 s" in said


async def test_an_unknown_host_is_named() -> None:
    assert "nowhere.invalid" in await _refusal("postgresql://user:s3cret@nowhere.invalid/name")


async def test_a_wrong_password_is_said(postgres_url: str) -> None:
    async with _role(postgres_url):
        said = await _refusal(_as_limited(postgres_url, "s3cret wrong"))
    assert "did not accept the password of the user limited" in said


async def test_an_unknown_database_is_named(database_url: str) -> None:
    said = await _refusal(database_url.replace("/boring?", "/elsewhere?"))
    assert "has no database elsewhere" in said
    assert "createdb elsewhere" in said


async def test_a_role_that_may_not_create_the_extension_is_told_what_to_ask_for(
    empty_postgres_url: str,
) -> None:
    async with _role(empty_postgres_url) as limited:
        name = str(conninfo_to_dict(empty_postgres_url)["dbname"])
        async with await AsyncConnection.connect(empty_postgres_url, autocommit=True) as connection:
            await connection.execute(SQL("grant create on database {} to limited").format(Identifier(name)))
        said = await _refusal(limited)
        assert 'permission denied to create extension "vector"' in said
        assert "create extension vector; create schema boring" in said
        async with await AsyncConnection.connect(empty_postgres_url, autocommit=True) as connection:
            await connection.execute("create extension vector")
        async with opened_database(_settings(limited)):
            pass


async def test_a_role_that_may_create_nothing_is_told_what_to_ask_for(empty_postgres_url: str) -> None:
    async with _role(empty_postgres_url) as limited:
        assert "permission denied for database" in await _refusal(limited)
        async with await AsyncConnection.connect(empty_postgres_url, autocommit=True) as connection:
            await connection.execute("create extension vector; create schema boring authorization limited")
        async with opened_database(_settings(limited)):
            pass


async def test_a_schema_of_somebody_else_is_said(postgres_url: str) -> None:
    async with _role(postgres_url) as limited:
        assert "grant usage on schema boring" in await _refusal(limited)


async def test_a_schema_newer_than_the_code_is_refused(postgres_url: str) -> None:
    async with await AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("update boring.alembic_version set version_num = '9999'")
    assert "revision 9999" in await _refusal(postgres_url)


@pytest.fixture
def url_without_pgvector(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server whose installation has no pgvector."""
    folder = Path(tempfile.mkdtemp(prefix="boring-tests-"))
    folder.chmod(0o755)
    installed = binaries.installed()
    for tree in (installed, installed.with_name(f"{installed.name}.libs")):
        shutil.copytree(tree, folder / tree.name, ignore=shutil.ignore_patterns("include", "vector*"))
    monkeypatch.setattr(binaries, "installed", lambda: folder / installed.name)
    monkeypatch.setattr("core.embedded.postgres._EXTENSIONS", ())
    url, hold = join(folder / "postgres")
    yield url
    leave(folder / "postgres", hold)
    assert not is_held(lock_file(folder / "postgres", "watchdog"), timeout_s=60)
    shutil.rmtree(folder)


async def test_a_server_without_pgvector_says_what_to_install(url_without_pgvector: str) -> None:
    said = await _refusal(url_without_pgvector)
    assert "has no pgvector" in said
    assert "pgvector/pgvector" in said


def test_the_role_of_the_embedded_server_is_its_superuser(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select current_setting('is_superuser')").fetchone()
    assert row == ("on",)
