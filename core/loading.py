"""Imports of large libraries beside the event loop, one at a time.

Some libraries take seconds to import, in which a process can start its model and its database. Two threads
that import parts of one library at the same time can deadlock, so all such imports share one lock.
"""

import asyncio
import gc
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from threading import Event, Lock

_one_at_a_time = Lock()


async def load(*modules: str) -> None:
    """Import modules in a thread; afterwards an import statement finds them at once.

    Cancelled, it leaves out those that were not begun.
    """
    unwanted = Event()
    try:
        await asyncio.to_thread(_load, modules, unwanted)
    finally:
        unwanted.set()


async def load_for_good(*modules: str) -> None:
    """Load what a command needs to its end: nobody looks for garbage in it any more, not even at the exit.

    That is for our own libraries. One in C++ may complain at the exit of what was not given back to it.
    """
    await load(*modules)
    gc.freeze()


def _load(modules: tuple[str, ...], unwanted: Event) -> None:
    with _one_at_a_time, _uncollected():
        for module in modules:
            if not unwanted.is_set():
                import_module(module)


@contextmanager
def _uncollected() -> Generator[None]:
    """Run the block without garbage collections.

    Imports make hundreds of thousands of objects that stay. Looking through them for garbage, again and
    again as they grow, takes a quarter of the time of the imports.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
