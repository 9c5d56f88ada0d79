"""`boring serve` itself: how it starts, how it ends, what it leaves behind."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import app.serving as serving_module
from core.errors import ConfigurationError
from tests.commands import boring_now
from tests.server.conftest import environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def boring() -> Path:
    """The program as it is installed."""
    return Path(sys.executable).with_name("boring")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(true: Callable[[], bool]) -> None:
    """Ask the server again and again, for at most 30 seconds."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def asks(text: str) -> Any:
    return {"messages": [{"role": "user", "content": text}]}


def contents(values: Any) -> list[str]:
    return [message["content"] for message in values["messages"]]


def server_files_in_the_checkout() -> list[str]:
    """The server's own files that git sees, ignored ones included."""
    told = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [line for line in told.stdout.splitlines() if "langgraph_api" in line]


def test_ctrl_c_ends_a_server_that_had_nothing_to_complain_about(serving: Any, opened: Any) -> None:
    server = serving("--port", "0").wait_until_ready()
    assert f"{server.url}/docs" in server.said
    assert f"https://smith.langchain.com/studio/?baseUrl={server.url}" in server.said
    with opened(server) as client:
        thread = client.threads.create()["thread_id"]
        for question in ("Compute.", "Hello"):
            assert client.runs.wait(thread, "single", input=asks(question))["answer"]["status"] == "answered"
    assert server.end(signal.SIGINT) == 130
    assert not server.leftovers()
    assert server.errors() == ""
    assert len(server.said.splitlines()) == 4
    assert server_files_in_the_checkout() == []


def test_the_next_server_has_the_threads_and_finishes_the_run_that_was_cut_off(
    serving: Any, opened: Any
) -> None:
    port = str(free_port())
    server = serving("--port", port, "--verbose", BORING_LOG_FORMAT="json").wait_until_ready()
    with opened(server) as client:
        thread = client.threads.create(metadata={"topic": "names"})["thread_id"]
        first = client.runs.wait(thread, "single", input=asks("I am Ada."))["turn"]["run_id"]
        cut_off = client.threads.create()["thread_id"]
        stream = client.runs.stream(cut_off, "single", input=asks("Slow at first."))
        run = next(iter(stream)).data["run_id"]
        until(lambda: client.threads.get_state(cut_off)["next"] == ["plan"])
        assert server.end(signal.SIGTERM) == 0
    assert not server.leftovers()
    assert is_free(int(port))
    logged = [json.loads(line) for line in server.errors().splitlines()]
    [told] = [line for line in logged if "will retry" in line["event"]]
    assert (told["run_id"], told["thread_id"], told["level"]) == (run, cut_off, "warning"), told
    assert all({"timestamp", "level", "logger", "event"} <= line.keys() for line in logged)
    of_steps = {(line["run_id"], line["thread_id"]) for line in logged if line.get("agent") == "single"}
    assert of_steps == {(first, thread)}
    of_outlets = [line for line in logged if line["logger"] == "observability.costs"]
    assert of_outlets
    assert all("run_id" not in line for line in of_outlets)

    server = serving("--port", port).wait_until_ready()
    with opened(server) as client:
        values = client.runs.join(cut_off, run)
        assert contents(values) == ["Slow at first.", "Better now."]
        assert values["turn"]["run_id"] == run
        (found,) = client.threads.search(metadata={"topic": "names"})
        assert found["thread_id"] == thread
        assert contents(client.threads.get_state(thread)["values"]) == ["I am Ada.", "You said: I am Ada."]
        assert len(client.threads.get_history(thread, limit=20)) == 5
        assert len(client.runs.wait(thread, "single", input=asks("Who am I?"))["messages"]) == 4
    assert server.end() == 0
    assert server.errors() == ""


def test_a_taken_port_is_named_with_a_way_out(serving: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = serving("--port", str(port))
        assert server.wait() == 4
    assert f"Port {port} of 127.0.0.1 is taken" in server.errors()
    assert "boring serve --port" in server.errors()


@pytest.mark.parametrize(
    ("options", "env", "named"),
    [
        ([], {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"}, "DATABASE_URL"),
        ([], {"BORING_MODEL_TIMEOUT_S": "soon"}, "BORING_MODEL_TIMEOUT_S"),
        ([], {"OPENAI_BASE_URL": "", "BORING_MODEL": "gpt-7"}, "BORING_MODEL"),
        (["--host", "192.0.2.1"], {}, "--host"),
        (["--config", "none.json"], {}, "none.json"),
    ],
)
def test_a_wrong_setting_is_named_in_one_message(
    tmp_path: Path, server_database: str, model: Any, options: list[str], env: dict[str, str], named: str
) -> None:
    given = environment(tmp_path, server_database, model.base_url) | env
    ended = boring_now("serve", "--port", "0", *options, env=given, cwd=tmp_path)
    assert (ended.code, ended.out) == (4, "")
    assert named in ended.err
    assert "Traceback" not in ended.err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match="extra `server`"):
        serving_module.serve(port=0)
