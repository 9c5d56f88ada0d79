"""What is written down as a run, or an agent's turn within one, has come to its end."""

from core.database import Database
from core.forgetting_gate import pass_gate
from core.state import Answer, Turn
from memory.extractions import Extraction, enqueue
from memory.forgetting import erase_run
from memory.runs import finish_run


async def end_run(database: Database, turn: Turn, answer: Answer, *, learn: Extraction | None = None) -> bool:
    """Do as `finish_run`; a run whose user was forgotten meanwhile leaves no record of itself."""
    if await finish_run(database, turn, answer, learn=learn):
        return True
    async with database.pool.connection() as connection, connection.transaction():
        await erase_run(connection, turn["run_id"])
    return False


async def enqueue_turn(database: Database, learn: Extraction) -> bool:
    """Have a turn learnt from whose run goes on; tell whether the run is known, as until forgotten."""
    async with database.pool.connection() as connection, connection.transaction():
        await pass_gate(connection, learn.tenant, learn.user)
        await enqueue(connection, learn)
        known = await connection.execute("select from boring.extraction where run_id = %s", (learn.run_id,))
        return bool(known.rowcount)
