"""This event loop's presence in the database: alive to others as long as one connection of it is heard of.

The connection holds an advisory lock on the worker's id, which Postgres gives up by itself when the process
is killed, and one on its epoch, which no later connection has: it tells for ever whether this one has lasted.
It listens for what other processes announce, and is used for nothing else.

A process that is stopped, or whose event loop stands still, keeps its connections, and with them what it
holds. So each worker is heard of by a statement now and then, and cuts off those that were not for the
seconds that they have promised: their lease is over.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from core.database import Database
from core.errors import DatabaseError
from core.process import current_process

CHANNELS: Final = ("boring_breaker",)
"""What may be listened to; Postgres is told of all of them at the start."""
LOCK_OF: Final = "hashtextextended('boring worker ' || %s, 0)"
"""The advisory lock of a worker, as SQL over its id."""
PATIENCE_S: Final = 10.0
_RETRY_S: Final = 0.1
# A machine that vanished without a word is noticed after about 25 s.
_KEEPALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_SERVER_KEEPALIVE: Final = (
    "select set_config('tcp_keepalives_idle', '10', false), "
    "set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)"
)
_BEATS: Final = 6
"""How often a worker is heard of in the time of its lease."""
_CUT_OFF: Final = """
with known as (
    select pid, state, state_change, substring(application_name from '^boring [0-9a-f]{12}') as client,
        substring(application_name from '^boring [0-9a-f]{12} lease ([0-9.]+)$')::float8 as lease_s
    from pg_stat_activity
    where datname = current_database() and usename = session_user and pid <> pg_backend_pid()
        and application_name ~ '^boring [0-9a-f]{12}'
), over as (
    select client from known
    where state = 'idle' and clock_timestamp() - state_change > make_interval(secs => lease_s)
)
select client, pg_terminate_backend(pid) from known
where client in (select client from over) order by lease_s nulls first
"""
"""Ends all connections of workers whose lease is over; the one that tells of the lease comes last."""
_log = logging.getLogger(__name__)

Heard = Callable[[str | None], None]


class Worker:
    """One event loop, as other processes see it.

    Attributes:
        id: unlike that of any other worker, ever.
        epoch: counts the connections; what was known of the database before it changed may be wrong now.
    """

    def __init__(self, database: Database, lease_s: float) -> None:
        self.id: Final = uuid.uuid4().hex
        self.epoch = 0
        self._database = database
        self._lease_s = lease_s
        self._heard_of = time.time()
        self._present = asyncio.Event()
        self._heard: dict[str, list[Heard]] = {channel: [] for channel in CHANNELS}

    async def present(self) -> None:
        """Wait until this worker is alive to others.

        Raises:
            DatabaseError: the database has been away for 10 s.
        """
        if self._present.is_set():
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._present.wait()
        except TimeoutError as error:
            raise DatabaseError(
                f"The database has been away for {PATIENCE_S:g} s. Check that it is running; what was done "
                "is kept, and the run can be resumed."
            ) from error

    def listen(self, channel: str, heard: Heard) -> None:
        """Call `heard` in this event loop with the payload of every notification of `channel`.

        It is called with None at once, and whenever notifications may have been missed.
        """
        self._heard[channel].append(heard)
        heard(None)

    async def keep(self) -> None:
        """Stay connected, for ever."""
        while True:
            try:
                await self._one_connection()
            except psycopg.OperationalError as error:
                if self._present.is_set():
                    _log.warning("The connection to the database was lost: %s", str(error).strip())
            self._present.clear()
            await asyncio.sleep(_RETRY_S)

    async def _one_connection(self) -> None:
        name = f"{self._database.client} lease {self._lease_s:g}"
        connection = await AsyncConnection.connect(
            self._database.url, autocommit=True, application_name=name, **_KEEPALIVE
        )
        async with connection:
            await connection.execute(_SERVER_KEEPALIVE)
            await self._beat(connection)
            await self.take_lock(connection, self.id)
            await self.take_lock(connection, f"{self.id} {self.epoch + 1}")
            for channel in CHANNELS:
                await connection.execute(f"listen {channel}")
            self.epoch += 1
            self._present.set()
            for heard in [heard for of_channel in self._heard.values() for heard in of_channel]:
                heard(None)
            while True:
                async for notification in connection.notifies(timeout=self._lease_s / _BEATS):
                    for heard in self._heard.get(notification.channel, ()):
                        heard(notification.payload)
                await self._beat(connection)

    async def _beat(self, connection: AsyncConnection[Any]) -> None:
        """Be heard of, and cut off those that were not in time.

        One that has slept itself, perhaps with its machine and all others on it, lets them be heard of first.
        """
        slept_s, self._heard_of = time.time() - self._heard_of, time.time()
        if slept_s > self._lease_s:
            await connection.execute("select")
            return
        ended = await (await connection.execute(_CUT_OFF)).fetchall()
        for client in {name for name, _ in ended}:
            _log.warning("The process %s stands still: its lease is over, and it is cut off.", client)

    async def take_lock(self, connection: AsyncConnection[Any], name: str) -> None:
        """Take the lock of this worker or epoch; for a moment another one may be testing it."""
        while True:
            found = await connection.execute(f"select pg_try_advisory_lock({LOCK_OF})", (name,))
            row = await found.fetchone()
            if row is not None and row[0]:
                return
            await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def opened_worker(database: Database, lease_s: float = 30.0) -> AsyncGenerator[Worker]:
    """Be present in the database until the block ends, as long as the event loop stands still no longer."""
    worker = Worker(database, lease_s)
    keeping = asyncio.create_task(worker.keep(), name="keep worker present")
    try:
        yield worker
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def current_worker() -> Worker:
    """Return the worker of the running event loop, present in the database.

    Raises:
        DatabaseError: the database is away.
    """
    process = await current_process()
    database = await process.database()
    worker = await process.once("worker", lambda: opened_worker(database, process.settings.lease_s))
    await worker.present()
    return worker
