"""`boring serve` itself: how it starts, how it ends, what it leaves behind."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

ROOT = Path(__file__).resolve().parents[2]
LATER: Any = {"messages": [{"role": "user", "content": "Never mind the time."}]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def opened(server: Any) -> Any:
    """A client whose answers are not typed."""
    return get_sync_client(url=server.url)


def until(true: Callable[[], bool]) -> None:
    """Ask the server again and again, for at most 30 seconds."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end


def checkout() -> str:
    """What git sees in the checkout, ignored files included."""
    told = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return "\n".join(line for line in told.stdout.splitlines() if "langgraph_api" in line)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_everything_even_in_the_middle_of_a_run(
    serving: Any, number: signal.Signals, code: int
) -> None:
    server = serving("--port", "0").wait_until_ready()
    assert f"{server.url}/docs" in server.said
    assert f"https://smith.langchain.com/studio/?baseUrl={server.url}" in server.said
    with opened(server) as client:
        thread = client.threads.create()["thread_id"]
        stream = client.runs.stream(thread, "single", input=LATER, stream_mode="updates")
        assert next(iter(stream)).event == "metadata"
        assert server.end(number) == code
    assert not server.leftovers()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(server.url.rpartition(":")[2]))) != 0
    assert checkout() == ""


def test_a_thread_outlives_its_server(serving: Any) -> None:
    port = str(free_port())
    asked: Any = {"messages": [{"role": "user", "content": "I am Ada."}]}
    server = serving("--port", port).wait_until_ready()
    with opened(server) as client:
        thread = client.threads.create(metadata={"topic": "names"})["thread_id"]
        client.runs.wait(thread, "single", input=asked)
    assert server.end() == 0
    server = serving("--port", port).wait_until_ready()
    with opened(server) as client:
        assert [found["thread_id"] for found in client.threads.search(metadata={"topic": "names"})] == [
            thread
        ]
        assert client.threads.get_state(thread)["values"]["answer"]["text"] == "You said: I am Ada."
        assert len(client.threads.get_history(thread, limit=20)) == 5
        assert len(client.runs.wait(thread, "single", input=asked)["messages"]) == 4
    server.end()


def test_a_run_that_was_cut_off_is_finished_by_the_next_server(serving: Any, model: Any) -> None:
    port = str(free_port())
    asked: Any = {"messages": [{"role": "user", "content": "Slow at first."}]}
    server = serving("--port", port).wait_until_ready()
    with opened(server) as client:
        thread = client.threads.create()["thread_id"]
        run = client.runs.create(thread, "single", input=asked)["run_id"]
        until(lambda: client.threads.get_state(thread)["next"] == ["plan"])
    assert server.end() == 0
    assert "will retry" in server.errors()
    server = serving("--port", port).wait_until_ready()
    with opened(server) as client:
        values = client.runs.join(thread, run)
    assert [message["content"] for message in values["messages"]] == ["Slow at first.", "Better now."]
    assert values["turn"]["run_id"] == run
    assert server.end() == 0


def test_a_thread_of_a_killed_server_is_found_by_its_id(serving: Any) -> None:
    asked: Any = {"messages": [{"role": "user", "content": "I am Ada."}]}
    server = serving("--port", "0").wait_until_ready()
    with opened(server) as client:
        thread = client.threads.create()["thread_id"]
        client.runs.wait(thread, "single", input=asked)
    server.end(signal.SIGKILL)
    server = serving("--port", "0").wait_until_ready()
    with opened(server) as client:
        client.threads.create(thread_id=thread, graph_id="single", if_exists="do_nothing")
        assert client.threads.get_state(thread)["values"]["answer"]["text"] == "You said: I am Ada."
        assert len(client.runs.wait(thread, "single", input=asked)["messages"]) == 4
    server.end()


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
    serving: Any, options: list[str], env: dict[str, str], named: str
) -> None:
    server = serving("--port", "0", *options, **env)
    assert server.wait() == 4
    assert named in server.errors()
    assert "Traceback" not in server.errors()
    assert server.said == ""
