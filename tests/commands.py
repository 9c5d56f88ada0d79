"""Runs `boring` or a program in a process of its own that begins with modules loaded: importing takes long.

The processes are forked from one that has only imported, so that each has its own environment, folder and
exit code, as if a shell had started it. What happens while a command starts is tested with real starts.
"""

import asyncio
import gc
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [
        *("app.commands", "app.learning", "app.session", "graphs.loop", "memory.checkpoints", "memory.facts"),
        *("memory.rules", "memory.store", "memory.view", "nodes.plan", "nodes.learner", "tools.runtime"),
        *("jsonschema", "langchain_openai", "langchain_text_splitters", "openai.resources.chat.completions"),
        *("anyio._backends._asyncio", "httpcore", "openai.lib.streaming.chat"),
    ]
)


class Ended(NamedTuple):
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


async def boring(*words: str, env: Mapping[str, str], cwd: Path | None = None) -> Ended:
    """Run `boring` to its end, while the tests' own servers go on."""
    return await asyncio.to_thread(boring_now, *words, env=env, cwd=cwd)


def boring_now(*words: str, env: Mapping[str, str], cwd: Path | None = None, stdin: bytes = b"") -> Ended:
    """Run `boring` to its end. This blocks."""
    return _ended(_command, words, env, cwd, stdin)


async def python(code: str, *, env: Mapping[str, str], cwd: Path) -> Ended:
    """Run a program to its end, while the tests' own servers go on."""
    return await asyncio.to_thread(_ended, _program, (code,), env, cwd, b"")


def _ended(
    main: Callable[..., None], words: tuple[str, ...], env: Mapping[str, str], cwd: Path | None, stdin: bytes
) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        files = tuple(Path(folder, name) for name in ("in", "out", "err"))
        files[0].write_bytes(stdin)
        process = _FORKING.Process(target=_run, args=(main, words, dict(env), cwd or Path.cwd(), files))
        process.start()
        try:
            process.join()
        finally:
            process.kill()
        code = process.exitcode
        assert code is not None
        return Ended(code, *(one.read_text(errors="replace") for one in files[1:]))


def _run(
    main: Callable[..., None],
    words: tuple[str, ...],
    env: dict[str, str],
    cwd: Path,
    files: tuple[Path, Path, Path],
) -> None:
    from core.settings import settings  # noqa: PLC0415 - only in the process that is forked

    for descriptor, (file, flags) in enumerate(
        zip(files, (os.O_RDONLY, *(os.O_WRONLY | os.O_CREAT,) * 2), strict=True)
    ):
        os.dup2(os.open(file, flags, 0o600), descriptor)
    sys.stdin = os.fdopen(0)  # a forked process of this library has none
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    assert not settings.cache_info().currsize, "a module that is loaded beforehand reads the settings"
    main(*words)


def _command(*words: str) -> None:
    from app.main import main  # noqa: PLC0415 - only in the process that is forked

    sys.argv = ["boring", *words]
    main()


def _program(code: str) -> None:
    gc.freeze()
    sys.argv = ["-c"]
    sys.modules["__main__"] = program = ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), program.__dict__)  # noqa: S102 - what `python -c` does
