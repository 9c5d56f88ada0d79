"""The checkpoints of the development server: the same tables, and what only a server asks for."""

from collections.abc import Iterable

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from core.process import current_process
from memory.checkpoints import postgres_checkpointer

_DELETE_FOR_RUNS = """
with gone as (
    delete from checkpoints where metadata ->> 'run_id' = any(%s)
    returning thread_id, checkpoint_ns, checkpoint_id
)
delete from checkpoint_writes as written using gone
where (written.thread_id, written.checkpoint_ns, written.checkpoint_id)
    = (gone.thread_id, gone.checkpoint_ns, gone.checkpoint_id)
"""


class ServerSaver(AsyncPostgresSaver):
    """A saver that can also forget a run, as the server's `multitask_strategy="rollback"` needs it to."""

    async def adelete_for_runs(self, run_ids: Iterable[str]) -> None:
        """Delete the checkpoints of runs, so that their threads stand where they stood before."""
        async with self._cursor() as cursor:
            await cursor.execute(_DELETE_FOR_RUNS, (list(run_ids),))


async def server_checkpointer() -> ServerSaver:
    """Return the server's saver on this process's database. `langgraph.json` names this function."""
    await postgres_checkpointer()  # brings the tables into place
    database = await (await current_process()).database()
    return ServerSaver(database.pool)  # pyright: ignore[reportArgumentType] - rows are dicts, see Database
