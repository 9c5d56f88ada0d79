"""Runs `boring` or a program in a process of its own that begins with modules loaded: importing takes long.

The processes are forked from one that has only imported, so that each has its own environment, folder and
exit code, as if a shell had started it. What happens while a command starts is tested with real starts.
"""

import asyncio
import gc
import json
import multiprocessing
import os
import socket
import socketserver
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from runpy import run_module, run_path
from types import ModuleType
from typing import NamedTuple

FORKING = multiprocessing.get_context("forkserver")
"""Begins processes from one that has done what stands in `tests.warm`."""
FORKING.set_forkserver_preload(["tests.warm"])
_ASKING = """\
#!/bin/sh
"exec" "{python}" "-IS" "$0" "$@"
import json, os, signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, (2, 15))
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    socket.send_fds(asked, [b"."], [0, 1, 2])
    asked.sendall(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    os.closerange(0, 2)
    answers = asked.makefile()
    pid = int(answers.readline())
    for number in (2, 15):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (2, 15))
    code = int(answers.readline() or "-9")
sys.exit(code if code >= 0 else 128 - code)
"""
"""A program that hands its words, streams and signals to the process forked for it, and ends as that does."""


class Ended(NamedTuple):
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


def environment(folder: Path, database_url: str, **more: str) -> dict[str, str]:
    """Return what a command finds in its environment that keeps all it has in a folder and a database."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DATABASE_URL": database_url,
        "BORING_DATA_DIR": str(folder / "data"),
        "BORING_CACHE_DIR": str(folder / "cache"),
        **more,
    }


async def boring(*words: str, env: Mapping[str, str], cwd: Path | None = None) -> Ended:
    """Run `boring` to its end, while the tests' own servers go on."""
    return await asyncio.to_thread(boring_now, *words, env=env, cwd=cwd)


def boring_now(*words: str, env: Mapping[str, str], cwd: Path | None = None, stdin: bytes = b"") -> Ended:
    """Run `boring` to its end. This blocks."""
    return _ended(_command, words, env, cwd, stdin)


async def python(code: str, *, env: Mapping[str, str], cwd: Path) -> Ended:
    """Run a program to its end, while the tests' own servers go on."""
    return await asyncio.to_thread(_ended, _program, (code,), env, cwd, b"")


@contextmanager
def startable() -> Generator[Path]:
    """Have a folder with a `boring` and a `python` that can be started as any program can."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socketserver.ThreadingUnixStreamServer(f"{folder}/asked", _Asked) as server,
    ):
        for name in _MAINS:
            file = Path(folder, name)
            file.write_text(_ASKING.format(python=sys.executable, address=server.server_address))
            file.chmod(0o700)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield Path(folder)
        server.shutdown()
        serving.join()


class _Asked(socketserver.BaseRequestHandler):
    """Runs one command on the input and output of whoever asked; it ends when that is killed."""

    request: socket.socket

    def handle(self) -> None:
        _, streams, _, _ = socket.recv_fds(self.request, 1, 3)
        with self.request.makefile() as told:
            (program, *words), cwd, env = json.loads(told.readline())
        process = _started(_MAINS[Path(program).name], words, env, cwd, streams)
        with suppress(BrokenPipeError):
            self.request.sendall(f"{process.pid}\n".encode())
            if process.sentinel in wait([process.sentinel, self.request]):
                process.join()
                self.request.sendall(f"{process.exitcode}\n".encode())
        process.kill()
        process.join()


def _ended(
    main: Callable[..., None], words: tuple[str, ...], env: Mapping[str, str], cwd: Path | None, stdin: bytes
) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        files = tuple(Path(folder, name) for name in ("in", "out", "err"))
        files[0].write_bytes(stdin)
        flags = (os.O_RDONLY, *(os.O_WRONLY | os.O_CREAT,) * 2)
        streams = [os.open(file, flag, 0o600) for file, flag in zip(files, flags, strict=True)]
        process = _started(main, words, env, cwd or Path.cwd(), streams)
        try:
            process.join()
        finally:
            process.kill()
        code = process.exitcode
        assert code is not None
        return Ended(code, *(one.read_text(errors="replace") for one in files[1:]))


def _started(
    main: Callable[..., None], words: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Sequence[int]
) -> ForkServerProcess:
    """Start a process on this input, output and error; they are closed here."""
    handed = [Connection(stream) for stream in streams]  # the kind of descriptor that can be handed on
    process = FORKING.Process(target=_run, args=(main, words, dict(env), cwd, handed))
    process.start()
    for one in handed:
        one.close()
    return process


def _run(
    main: Callable[..., None],
    words: Sequence[str],
    env: dict[str, str],
    cwd: Path,
    streams: Sequence[Connection],
) -> None:
    from core.settings import settings  # noqa: PLC0415 - only in the process that is forked

    for descriptor, stream in enumerate(streams):
        os.dup2(stream.fileno(), descriptor)
        stream.close()
    # Anew: what there is still knows, or has not, those of the process that it is forked from.
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    assert "tests.warm" in sys.modules, "what is to be done beforehand has failed"
    assert not settings.cache_info().currsize, "a module that is loaded beforehand reads the settings"
    main(*words)


def _command(*words: str) -> None:
    from app.main import main  # noqa: PLC0415 - only in the process that is forked

    sys.argv = ["boring", *words]
    main()


def _program(code: str, *words: str) -> None:
    gc.freeze()
    sys.argv = ["-c", *words]
    sys.modules["__main__"] = program = ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), program.__dict__)  # noqa: S102 - what `python -c` does


def _python(first: str, *words: str) -> None:
    if first == "-c":
        _program(*words)
    elif first == "-m":
        sys.argv = list(words)
        run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *words]
        run_path(first, run_name="__main__")


_MAINS = {"boring": _command, "python": _python}
