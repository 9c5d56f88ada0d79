"""The checkpoints of the server: the project's saver, under the name that `langgraph.json` gives it."""

from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver


async def server_checkpointer() -> Saver:
    """Return the saver on this process's database. `langgraph.json` names this function.

    Raises:
        DatabaseError: the database can't be had.
    """
    return await postgres_checkpointer()
