"""The checkpoints of the server: the project's saver, under the name that `langgraph.json` gives it."""

from contextlib import suppress

from typing_extensions import override

from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver
from memory.saver_copying import NothingToCopyError


class ServerSaver(Saver):
    """The saver of a server, which has threads without checkpoints: those that nobody has asked in yet."""

    @override
    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy what is kept of a thread, if anything is, to an id that is free.

        Raises:
            ValueError: the target has checkpoints, or is the source.
        """
        with suppress(NothingToCopyError):
            await super().acopy_thread(source_thread_id, target_thread_id)


async def server_checkpointer() -> Saver:
    """Return the saver on this process's database. `langgraph.json` names this function.

    Raises:
        DatabaseError: the database can't be had.
    """
    return await postgres_checkpointer(ServerSaver)
