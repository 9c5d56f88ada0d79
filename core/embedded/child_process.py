"""Blocking work beside the event loop, in a thread or a child process, ending with whoever waits for it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


async def finish_in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run blocking work in a thread, and outlive it even when cancelled.

    `asyncio.to_thread` lets go of a thread on cancellation while it still writes. Here a cancelled caller
    first asks the work to stop, then waits until it has.

    Args:
        work: gets an event that is set once its result isn't wanted any more.
    """
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise


async def run_child(
    command: list[str], *, cwd: Path, env: dict[str, str], line: Callable[[str], None] | None = None
) -> tuple[int, str]:
    """Run a program to its end; a cancelled caller takes it and its children along.

    Args:
        command: the program and its arguments.
        cwd: the folder it runs in.
        env: its environment.
        line: called with each line it writes to standard output, on the event loop's thread.

    Returns:
        Its exit code, and the last lines it wrote.
    """
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        if line is not None:
            loop.call_soon_threadsafe(line, text)

    return await finish_in_thread(lambda stop: _run(command, cwd=cwd, env=env, line=tell, stop=stop))


def _run(
    command: list[str],
    *,
    cwd: Path,
    env: dict[str, str],
    line: Callable[[str], None],
    stop: threading.Event,
) -> tuple[int, str]:
    tail: deque[str] = deque(maxlen=30)
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as child:
        killer = threading.Thread(target=_kill_on, args=(stop, child), daemon=True)
        killer.start()
        try:
            for text in child.stdout or ():
                tail.append(text)
                line(text)
            code = child.wait()
        finally:
            stop.set()
            killer.join()
    return code, "".join(tail)


def _kill_on(stop: threading.Event, child: subprocess.Popen[str]) -> None:
    """Kill the child's whole session once nobody waits for it; a child that has ended is left alone."""
    stop.wait()
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
