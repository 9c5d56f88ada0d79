"""This event loop's presence in the database: alive to others as long as one connection of it is.

The connection holds an advisory lock on the worker's id, which Postgres gives up by itself when the process
is killed, and one on its epoch, which no later connection has: it tells for ever whether this one has lasted.
It listens for what other processes announce, and is used for nothing else.
"""

import asyncio
import logging
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
_log = logging.getLogger(__name__)

Heard = Callable[[str | None], None]


class Worker:
    """One event loop, as other processes see it.

    Attributes:
        id: unlike that of any other worker, ever.
        epoch: counts the connections; what was known of the database before it changed may be wrong now.
    """

    def __init__(self, url: str) -> None:
        self.id: Final = uuid.uuid4().hex
        self.epoch = 0
        self._url = url
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
        connection = await AsyncConnection.connect(self._url, autocommit=True, **_KEEPALIVE)
        async with connection:
            await connection.execute(_SERVER_KEEPALIVE)
            await self.take_lock(connection, self.id)
            await self.take_lock(connection, f"{self.id} {self.epoch + 1}")
            for channel in CHANNELS:
                await connection.execute(f"listen {channel}")
            self.epoch += 1
            self._present.set()
            for heard in [heard for of_channel in self._heard.values() for heard in of_channel]:
                heard(None)
            async for notification in connection.notifies():
                for heard in self._heard.get(notification.channel, ()):
                    heard(notification.payload)

    async def take_lock(self, connection: AsyncConnection[Any], name: str) -> None:
        """Take the lock of this worker or epoch; for a moment another one may be testing it."""
        while True:
            found = await connection.execute(f"select pg_try_advisory_lock({LOCK_OF})", (name,))
            row = await found.fetchone()
            if row is not None and row[0]:
                return
            await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def opened_worker(database: Database) -> AsyncGenerator[Worker]:
    """Be present in the database until the block ends."""
    worker = Worker(database.url)
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
    worker = await process.once("worker", lambda: opened_worker(database))
    await worker.present()
    return worker
