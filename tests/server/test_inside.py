"""What holds inside the server process."""

import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

ROOT = Path(__file__).resolve().parents[2]


def opened(server: Any) -> Any:
    """A client whose answers are not typed."""
    return get_sync_client(url=server.url)


@pytest.fixture
def packages() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named: list[str] = project["tool"]["setuptools"]["packages"]
    return sorted({name.partition(".")[0] for name in named})


def test_every_top_level_package_is_ours(client: Any, packages: list[str]) -> None:
    values = client.runs.wait(None, "probe", input={"packages": packages})
    assert values["files"] == {name: str(ROOT / name / "__init__.py") for name in packages}


def test_a_call_that_blocks_the_server_fails_its_run(client: Any) -> None:
    values = client.runs.wait(None, "probe", input={"packages": [], "nap": True}, raise_error=False)
    assert values["__error__"]["error"] == "BlockingError"


def test_nothing_of_ours_blocks_and_nothing_is_complained_about(serving: Any) -> None:
    """A server of its own, whose log is this test's alone."""
    server = serving("--port", "0").wait_until_ready()
    with opened(server) as client:
        thread = client.threads.create()["thread_id"]
        for question in ("Compute.", "Hello"):
            asked = {"messages": [{"role": "user", "content": question}]}
            values = client.runs.wait(thread, "single", input=asked)
            assert values["answer"]["status"] == "answered"
    assert server.end() == 0
    assert server.errors() == ""
    assert len(server.said.splitlines()) == 4


def test_it_listens_on_this_machine_only(server: Any) -> None:
    port = int(server.url.rpartition(":")[2])
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect((own, port))
