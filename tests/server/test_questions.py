"""Questions of a run, seen and answered through the server's public client: effects happen once."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.server_settings import read_server_file

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("questions")  # its tests share a server, so one worker runs them
APPROVE: Any = {"decisions": [{"type": "approve"}]}


class Shop:
    """A server with the agent of `shop.py`, its client, and what its tools have done."""

    def __init__(self, folder: Path, server: Any, client: Any) -> None:
        self.folder = folder
        self.server = server
        self.client = client

    def thread(self) -> str:
        return self.client.threads.create(graph_id="shop")["thread_id"]

    def asks(self, thread: str, text: str) -> Any:
        """Ask, and return the question that comes back."""
        asked = {"messages": [{"role": "user", "content": text}]}
        (question,) = self.client.runs.wait(thread, "shop", input=asked)["__interrupt__"]
        return question

    def answers(self, thread: str, question: str, answer: Any) -> Any:
        return self.client.runs.wait(thread, "shop", command={"resume": {question: answer}})

    def done(self) -> list[str]:
        ledger = self.folder / "ledger"
        return ledger.read_text().splitlines() if ledger.exists() else []


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text((Path(__file__).parent / "shop.py").read_text())
    given = read_server_file(ROOT / "langgraph.json") | {"graphs": {"shop": "./shop.py:graph"}}
    (folder / "langgraph.json").write_text(json.dumps(given))
    return folder / "langgraph.json"


@pytest.fixture(scope="module")
def started(serving: Any, config: Path) -> Any:
    return serving("--port", "0", "--config", str(config)).wait_until_ready()


@pytest.fixture
def shop(started: Any, config: Path, opened: Any) -> Iterator[Shop]:
    for name in ("ledger", "tried"):
        (config.parent / name).unlink(missing_ok=True)
    with opened(started) as client:
        yield Shop(config.parent, started, client)


def told(values: Any) -> list[str]:
    """Return what the model was told of its calls."""
    return [message["content"] for message in values["messages"] if message["type"] == "tool"]


def test_a_question_is_seen_in_the_state_the_stream_and_the_threads_status(shop: Shop) -> None:
    thread = shop.thread()
    asked = {"messages": [{"role": "user", "content": "Ship order 7."}]}
    parts = list(shop.client.runs.stream(thread, "shop", input=asked, stream_mode="updates"))
    ((streamed,),) = [part.data["__interrupt__"] for part in parts if "__interrupt__" in part.data]
    state = shop.client.threads.get_state(thread)
    (kept,) = [one for task in state["tasks"] for one in task["interrupts"]]
    assert streamed["id"] == kept["id"]
    assert streamed["value"] == kept["value"]
    assert streamed["value"]["action_requests"][0]["args"] == {"order": 7}
    assert streamed["response_schema"]["required"] == ["decisions"]
    assert shop.client.threads.get(thread)["status"] == "interrupted"
    assert shop.done() == []


def test_an_approved_call_is_made_once(shop: Shop, server_database: str) -> None:
    thread = shop.thread()
    question = shop.asks(thread, "Ship order 7.")
    values = shop.answers(thread, question["id"], APPROVE | {"by": "bob"})
    assert (values["answer"]["text"], told(values)) == ("That is that.", ["shipped 7"])
    with psycopg.connect(server_database) as connection:
        query = "select approved_by from boring.tool_call where thread_id = %s"
        assert connection.execute(query, (thread,)).fetchall() == [("bob",)]
    shop.answers(thread, question["id"], APPROVE)
    assert shop.done() == ["ship 7"]
    assert shop.client.threads.get(thread)["status"] == "idle"


def test_a_rejected_call_is_not_made_and_the_model_reads_why(shop: Shop, model: Any) -> None:
    thread = shop.thread()
    question = shop.asks(thread, "Ship order 7.")
    decision = {"type": "reject", "message": "the address is wrong"}
    values = shop.answers(thread, question["id"], {"decisions": [decision], "by": "bob"})
    assert told(values) == ["bob rejected this call of ship: the address is wrong"]
    assert model.requests[-1]["messages"][-1]["content"] == told(values)[0]
    assert (values["answer"]["text"], shop.done()) == ("That is that.", [])


def test_an_answer_in_no_form_is_asked_again(shop: Shop) -> None:
    thread = shop.thread()
    question = shop.asks(thread, "Ship order 7.")
    (again,) = shop.answers(thread, question["id"], {"decisions": "yes"})["__interrupt__"]
    assert again["id"] == question["id"]
    assert "decisions: Input should be a valid list" in again["value"]["refused"]
    assert shop.client.threads.get(thread)["status"] == "interrupted"
    shop.answers(thread, question["id"], APPROVE)
    assert shop.done() == ["ship 7"]


@pytest.mark.parametrize(
    ("text", "answer", "result", "line"),
    [
        ("Pay 7.", {"outcome": "happened", "result": "reference 4711"}, "reference 4711", "pay 7"),
        ("Pay 8.", {"outcome": "not_happened"}, "paid 8", "pay 8"),
    ],
)
def test_a_call_in_doubt_is_settled_by_the_answer(
    shop: Shop, text: str, answer: Any, result: str, line: str
) -> None:
    thread = shop.thread()
    question = shop.asks(thread, text)
    assert question["value"]["kind"] == "in_doubt"
    assert question["value"]["question"].startswith("Did the call of pay happen?")
    values = shop.answers(thread, question["id"], answer)
    assert (values["answer"]["text"], told(values)[-1]) == ("Settled.", result)
    assert shop.done() == [line]


def test_a_call_in_doubt_can_end_the_run(shop: Shop) -> None:
    thread = shop.thread()
    question = shop.asks(thread, "Pay 7.")
    values = shop.answers(thread, question["id"], {"outcome": "stop", "by": "bob"})
    assert (values["answer"]["status"], shop.done()) == ("denied", ["pay 7"])


def test_the_next_server_asks_what_became_of_a_call_that_was_cut_off(
    shop: Shop, serving: Any, opened: Any, config: Path
) -> None:
    killed = serving("--port", "0", "--config", str(config)).wait_until_ready()
    with opened(killed) as client:
        thread = client.threads.create()["thread_id"]
        asked = {"messages": [{"role": "user", "content": "Pay 9."}]}
        client.runs.create(thread, "shop", input=asked, durability="sync")
        end = time.monotonic() + 30
        while not shop.done():
            assert time.monotonic() < end
    killed.end(signal.SIGKILL)
    shop.client.threads.create(thread_id=thread, graph_id="shop", if_exists="do_nothing")
    (question,) = shop.client.runs.wait(thread, "shop", input=None)["__interrupt__"]
    assert question["value"]["tool"] == "pay"
    values = shop.answers(thread, question["id"], {"outcome": "happened", "result": "reference 9"})
    assert (values["answer"]["text"], told(values)) == ("Settled.", ["reference 9"])
    assert shop.done() == ["pay 9"]


def test_the_calls_in_the_documentation_answer(shop: Shop, tmp_path: Path) -> None:
    page = (ROOT / "docs/effects.md").read_text()
    (block,) = [
        part.partition("```")[0] for part in page.split("```python\n") if "http://127.0.0.1:2024" in part
    ]
    code = block.replace("http://127.0.0.1:2024", shop.server.url)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert run.stdout.splitlines()[-1] == "That is that."
    assert shop.done() == ["ship 7"]
