import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from core.database import opened_database
from core.embedded.flock import is_held
from core.embedded.home import lock_file
from core.embedded.postgres import EmbeddedPostgres, join, leave, status
from core.settings import Settings

pytestmark = pytest.mark.slow  # each starts a server; that one starts and ends, each ordinary run shows
_CLIENT = """
import asyncio, sys
from pathlib import Path
from core.embedded.postgres import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
Client = subprocess.Popen[str]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own temporary folder: root's is closed to the user that Postgres runs as.
    path = Path(tempfile.mkdtemp(prefix="boring tests "))
    yield path
    for lock in path.rglob("watchdog.lock"):
        _until_gone(lock.parent)
    shutil.rmtree(path)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[[], Client]]:
    """Start a client process in a group of its own."""
    started: list[Client] = []

    def start_one() -> Client:
        client = subprocess.Popen(
            [sys.executable, "-c", _CLIENT, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(client)
        return client

    yield start_one
    for client in started:
        with client:
            client.kill()


def _until_free(lock: Path) -> None:
    assert not is_held(lock, timeout_s=60)


def _until_gone(folder: Path) -> None:
    _until_free(lock_file(folder, "watchdog"))
    _until_free(lock_file(folder, "server"))


def _eventually(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _url(client: Client) -> str:
    assert client.stdout is not None
    return client.stdout.readline().strip()


def _stdin(client: Client) -> IO[str]:
    assert client.stdin is not None
    return client.stdin


@contextmanager
def _joined(folder: Path) -> Generator[str]:
    url, hold = join(folder)
    try:
        yield url
    finally:
        leave(folder, hold)


def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def _answers(url: str) -> bool:
    try:
        _rows(url, "select 1")
    except psycopg.OperationalError:
        return False
    return True


def _postmaster(folder: Path) -> int:
    pid = status(folder).pid
    assert pid
    return pid


def _watchdog(folder: Path) -> int:
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = command.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"core.embedded.watchdog" in arguments and os.fsencode(folder) in arguments:
            return int(command.parent.name)
    pytest.skip("needs /proc")


@pytest.mark.usefixtures("folder")
def test_processes_that_start_at_once_share_one_server(start: Callable[[], Client]) -> None:
    clients = [start() for _ in range(4)]
    urls = {_url(client) for client in clients}
    assert len(urls) == 1
    assert _rows(urls.pop(), "select extname from pg_extension where extname = 'vector'") == [("vector",)]


def test_the_server_ends_with_its_last_client_however_that_ends(
    folder: Path, start: Callable[[], Client]
) -> None:
    killed, ending = start(), start()
    assert _url(killed) == _url(ending)
    killed.kill()
    _stdin(ending).close()
    assert ending.wait() == 0
    _until_free(lock_file(folder, "server"))
    assert status(folder).pid is None
    assert not (folder / "data" / "postmaster.pid").exists()


def test_a_killed_server_is_started_again_for_its_clients(folder: Path, start: Callable[[], Client]) -> None:
    url = _url(start())
    _rows(url, "create table kept as select 1 as one")
    pid = _postmaster(folder)
    os.kill(pid, signal.SIGKILL)
    _eventually(lambda: status(folder).pid not in {None, pid})
    with _joined(folder) as again:
        assert again == url
        assert _rows(url, "select one from kept") == [(1,)]


def test_a_client_can_join_at_the_moment_the_server_is_killed(
    folder: Path, start: Callable[[], Client]
) -> None:
    first = start()
    _rows(_url(first), "create table kept as select 1 as one")
    os.kill(_watchdog(folder), signal.SIGKILL)
    os.kill(_postmaster(folder), signal.SIGKILL)
    first.kill()
    with _joined(folder) as url:
        _eventually(lambda: _answers(url))
        assert _rows(url, "select one from kept") == [(1,)]


def test_a_killed_watchdog_is_replaced_by_a_leaving_client(folder: Path, start: Callable[[], Client]) -> None:
    client = start()
    _url(client)
    watchdog = _watchdog(folder)
    os.kill(watchdog, signal.SIGKILL)
    _until_free(lock_file(folder, "watchdog"))
    _stdin(client).close()
    assert client.wait() == 0
    _until_free(lock_file(folder, "server"))
    assert status(folder).pid is None


def test_a_killed_initdb_leaves_nothing_half_written(folder: Path, start: Callable[[], Client]) -> None:
    client = start()
    _eventually(lambda: any(folder.glob("new-*/data/base")))
    client.kill()
    assert not (folder / "data").exists()
    with _joined(folder) as url:
        assert _rows(url, "select 1") == [(1,)]
    assert not list(folder.glob("new-*"))


@pytest.mark.parametrize("kind", ["zombie", "other process"])
def test_a_stale_pid_file_with_a_reused_id_does_not_stop_a_start(folder: Path, kind: str) -> None:
    with _joined(folder):
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        os.kill(_watchdog(folder), signal.SIGKILL)
        os.kill(_postmaster(folder), signal.SIGKILL)
    _until_gone(folder)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        if kind == "zombie":
            other.kill()
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        (folder / "data" / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:], ""]))
        with _joined(folder) as url:
            assert _rows(url, "select 1") == [(1,)]


def test_interrupting_a_client_in_its_terminal_leaves_the_server_to_the_others(
    folder: Path, start: Callable[[], Client]
) -> None:
    interrupted = start()
    url = _url(interrupted)
    pid = _postmaster(folder)
    with _joined(folder):
        os.killpg(interrupted.pid, signal.SIGINT)
        _stdin(interrupted).close()
        interrupted.wait()
        assert _rows(url, "select 1") == [(1,)]
        assert _postmaster(folder) == pid
        assert status(folder).is_watched


def test_neither_server_nor_watchdog_keeps_the_pipes_of_who_started_them(
    folder: Path, start: Callable[[], Client]
) -> None:
    starter = start()
    _url(starter)
    with _joined(folder):
        starter.kill()
        assert starter.stdout is not None
        assert starter.stdout.read() == ""
        assert status(folder).pid


async def test_a_cancelled_start_keeps_no_server(folder: Path) -> None:
    async def hold() -> None:
        async with EmbeddedPostgres(folder):
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await asyncio.to_thread(_eventually, lambda: any(folder.glob("new-*")))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(_until_free, lock_file(folder, "clients"))
    await asyncio.to_thread(_until_gone, folder)
    assert status(folder).pid is None


def test_a_path_too_long_for_a_socket_works(folder: Path) -> None:
    folder.chmod(0o755)
    inner = folder / ("n" * 120) / "postgres"
    with _joined(inner) as url:
        assert _rows(url, "select 1") == [(1,)]
        socket_folder = Path(str(conninfo_to_dict(url)["host"]))
        assert socket_folder.stat().st_mode & 0o777 == 0o700
    _until_gone(inner)
    assert not socket_folder.exists()


def test_the_password_is_for_the_owner_only_and_is_asked_for(folder: Path) -> None:
    with _joined(folder) as url:
        assert (folder / "data" / "boring.password").stat().st_mode & 0o777 == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url, password=url[-8:])
        listening = _rows(url, "show listen_addresses")
        assert listening == [("",)]


async def test_an_open_pool_outlives_a_killed_server(folder: Path) -> None:
    await asyncio.to_thread(folder.chmod, 0o755)
    async with opened_database(Settings(data_dir=folder, database_url=None)) as database:
        async with database.pool.connection() as connection:
            await connection.execute("create table kept as select 1 as one")
        pid = await asyncio.to_thread(_postmaster, folder / "postgres")
        os.kill(pid, signal.SIGKILL)
        # A backend that is about to end can still be handed out; a new server means that all have.
        await asyncio.to_thread(_eventually, lambda: status(folder / "postgres").pid not in {None, pid})
        async with database.pool.connection() as connection:
            cursor = await connection.execute("select one from kept")
            assert await cursor.fetchone() == {"one": 1}
