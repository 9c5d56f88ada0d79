"""The Prometheus endpoint of a server: counters from spans, and how breakers, runs and outlets stand."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, LiteralString

import psycopg

from core.database import Database
from core.errors import ConfigurationError
from core.loading import load
from core.process import current_process
from observability.metrics import process_metrics

_EVERY_S: Final = 10.0
_OPEN: Final = {"open": 1.0, "half_open": 0.5}
_BREAKERS: LiteralString = "select name, state from boring.breaker order by name limit 1000"
_RUNS: LiteralString = "select status, count(*) as many from boring.run where finished_at is null group by 1"
_QUEUES: LiteralString = """
select 'approvals' as name, count(*) as many from boring.approval where settled_at is null
union all select 'learning', count(*) from boring.extraction where state = 'waiting'
"""
_log = logging.getLogger(__name__)


@asynccontextmanager
async def shown_metrics(host: str, port: int) -> AsyncGenerator[int]:
    """Serve the metrics of this process while the block runs, in threads of their own.

    Args:
        host: the address to listen at.
        port: 0 takes a free one.

    Yields:
        The port.

    Raises:
        ConfigurationError: the port can't be had.
    """
    await load("prometheus_client")
    from prometheus_client import start_http_server  # noqa: PLC0415 - loaded above

    try:
        server, thread = start_http_server(port, host, process_metrics().registry)
    except OSError as error:
        raise ConfigurationError(
            f"BORING_METRICS_PORT holds {port}, which can't be listened at ({error.strerror}). Set another."
        ) from error
    database = await (await current_process()).database()
    await refresh_states(database)
    refreshing = asyncio.create_task(_keep_refreshing(database), name="metrics")
    try:
        yield server.server_port
    finally:
        refreshing.cancel()
        await asyncio.wait([refreshing])
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join)


async def refresh_states(database: Database) -> None:
    """Look up how breakers and runs stand, of all processes of this database."""
    async with database.pool.connection() as connection:
        breakers = await (await connection.execute(_BREAKERS)).fetchall()
        runs = await (await connection.execute(_RUNS)).fetchall()
        queues = await (await connection.execute(_QUEUES)).fetchall()
    process_metrics().show_states(
        {row["name"]: _OPEN.get(row["state"], 0.0) for row in breakers},
        {row["status"]: row["many"] for row in runs},
        {row["name"]: row["many"] for row in queues},
    )


async def _keep_refreshing(database: Database) -> None:
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            await refresh_states(database)
        except psycopg.Error as error:
            _log.warning("Metrics are not up to date: %s", type(error).__name__)
