"""Short-term memory: where the checkpoints of threads are kept."""

from psycopg.errors import UndefinedTable

from core.database import Database
from core.migrations import setup_lock
from core.process import current_process
from core.worker import current_worker
from memory.saver import Saver


async def postgres_checkpointer(kind: type[Saver] = Saver) -> Saver:
    """Return the saver on this process's database, its tables in place.

    Args:
        kind: of saver.

    Raises:
        DatabaseError: the database can't be had.
    """
    database = await (await current_process()).database()
    saver = kind(database.pool, await current_worker())
    if not await _is_set_up(database, len(saver.MIGRATIONS) - 1):
        async with setup_lock(database.url):
            await saver.setup()
    return saver


async def _is_set_up(database: Database, newest: int) -> bool:
    async with database.pool.connection() as connection:
        try:
            rows = await connection.execute("select max(v) as v from checkpoint_migrations")
        except UndefinedTable:
            return False
        row = await rows.fetchone()
    return row is not None and row["v"] == newest
