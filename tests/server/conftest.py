import asyncio
import json
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph_sdk import get_sync_client

from app.server_settings import read_server_file
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import boring_now

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ToolCall("calculator", {"expression": "6 * 7"})


def pays(amount: int, *, times: int) -> list[Reply]:
    return [*[Reply(tool_calls=(ToolCall("pay", {"amount": amount}),))] * times, Reply(text="Settled.")]


SCRIPTS: dict[str, list[Reply]] = {
    "Compute.": [Reply(tool_calls=(PRODUCT,)), Reply(text="It is forty two.")],
    "Twice.": [Reply(tool_calls=(PRODUCT, PRODUCT)), Reply(text="Both are 42.")],
    "Never mind the time.": [Reply(text="Much later.", delay_s=600.0)],
    "Ship order 7.": [Reply(tool_calls=(ToolCall("ship", {"order": 7}),)), Reply(text="That is that.")],
    "Pay 7.": pays(7, times=2),
    "Pay 8.": pays(8, times=2),
    "Pay 9.": pays(9, times=1),
    "And on.": [Reply(tool_calls=(ToolCall("calculator", {"expression": f"{n} + 1"}),)) for n in range(9)],
}


heard: Counter[str] = Counter()


def say(request: dict[str, Any]) -> Reply:
    """Answer by the script of the newest question, as far as that turn has come; others are echoed."""
    messages: list[dict[str, Any]] = request["messages"]
    begin = max(i for i, message in enumerate(messages) if message["role"] == "user")
    said: Any = messages[begin]["content"]
    question = said if isinstance(said, str) else "".join(part["text"] for part in said)
    heard[question] += 1
    if question == "Slow at first.":
        return Reply(text="Better now.", delay_s=600.0 if heard[question] == 1 else 0.0)
    rounds = sum(message["role"] == "assistant" for message in messages[begin:])
    script = SCRIPTS.get(question)
    return script[rounds] if script else Reply(text=f"You said: {question}")


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedModel]:
    """The scripted model, in a thread of its own: tests here are plain functions."""
    speaking = ScriptedModel(say, keep_alive=True)
    ready, end = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def speak() -> None:
        async with speaking:
            loops.append(asyncio.get_running_loop())
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(speak(),))
    thread.start()
    assert ready.wait(10)
    yield speaking
    loops[0].call_soon_threadsafe(end.set)
    thread.join(10)


@pytest.fixture(scope="module")
def server_database(database_url: str, migrated_template: str, request: Any) -> Iterator[str]:
    """A fresh database for the servers of one module."""
    name = f"server_{request.module.__name__.rpartition('.')[2]}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {migrated_template}".encode())
        yield database_url.replace("/boring?", f"/{name}?")
        connection.execute(f"drop database {name} with (force)".encode())


def environment(folder: Path, database: str, model_url: str) -> dict[str, str]:
    """Return what a server and commands beside it find in their environment."""
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "DATABASE_URL": database,
        "OPENAI_BASE_URL": model_url,
        "BORING_MODEL": "scripted",
        "BORING_EMBEDDING_MODEL": "scripted",
        "BORING_EMBEDDING_BASE_URL": model_url,
        "BORING_DATA_DIR": str(folder / "data"),
        "BORING_CACHE_DIR": str(folder / "cache"),
    }


class Served:
    """A server that was started by the command line, as a user starts it."""

    def __init__(
        self, boring: Path, folder: Path, database: str, model_url: str, *options: str, **more: str
    ) -> None:
        self.folder = folder
        self._errors = folder / "errors.txt"
        folder.mkdir(exist_ok=True)
        self._env = environment(folder, database, model_url) | more
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [boring, "serve", *options],
                cwd=folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.said = ""
        self.url = ""

    def wait_until_ready(self) -> "Served":
        """Read what it says until it is ready."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if line.startswith("Server:"):
                self.url = line.split()[1]
            if "Ctrl-C" in line:
                return self
        raise AssertionError(f"ended with {self.process.wait()}:\n{self.said}\n{self.errors()}")

    def errors(self) -> str:
        """What it has written to standard error."""
        return self._errors.read_text()

    def command(self, *words: str, cwd: Path) -> str:
        """Run a command on the server's database, with its model; return what it says."""
        ran = boring_now(*words, env=self._env, cwd=cwd)
        assert ran.code == 0, ran.err
        return ran.out

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        said, _ = self.process.communicate(timeout=60)
        self.said += said
        return self.process.returncode

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, as a service manager or Ctrl-C does; return its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.wait()

    def leftovers(self) -> bool:
        """Tell whether any process of it is still there."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture(scope="module")
def boring(programs: Path) -> Path:
    """The program that starts servers; in less time than as it is installed, which a module may ask for."""
    return programs / "boring"


@pytest.fixture(scope="module")
def serving(
    boring: Path, tmp_path_factory: pytest.TempPathFactory, server_database: str, model: ScriptedModel
) -> Iterator[Any]:
    """Return a function that starts a server; its arguments are those of `boring serve`."""
    begun: list[Served] = []
    folder = tmp_path_factory.mktemp("a folder with spaces")

    def start(*options: str, **env: str) -> Served:
        begun.append(Served(boring, folder, server_database, model.base_url, *options, **env))
        return begun[-1]

    yield start
    for server in begun:
        server.end()
        assert not server.leftovers()


@pytest.fixture(scope="module")
def server(serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A server with the graphs of `langgraph.json` and a probe, started once for a module."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.py").write_text((Path(__file__).parent / "probe.py").read_text())
    given = read_server_file(ROOT / "langgraph.json")
    given["graphs"]["probe"] = "./probe.py:graph"
    (folder / "with_probe.json").write_text(json.dumps(given))
    return serving("--port", "0", "--config", str(folder / "with_probe.json")).wait_until_ready()


@pytest.fixture(scope="session")
def opened() -> Any:
    """Return a function that opens a client of a server, its answers untyped."""

    def open_client(server: Served) -> Any:
        return get_sync_client(url=server.url)

    return open_client


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Any]:
    with get_sync_client(url=server.url) as opened:
        yield opened
