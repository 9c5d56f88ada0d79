"""The agents of a running server through its public client, as Studio and other programs use them."""

import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("agents")  # its tests share a server, so one worker runs them
STEPS = ["receive", "plan", "execute", "observe", "plan", "respond"]


def asks(text: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def runs_to_its_end(client: Any, text: Any, thread: str | None = None, **more: Any) -> dict[str, Any]:
    return client.runs.wait(thread, "single", input=asks(text), **more)


@pytest.fixture
def thread(client: Any) -> str:
    return client.threads.create()["thread_id"]


@pytest.fixture(scope="module")
def computed(client: Any) -> str:
    """A thread with one finished run, to be looked at."""
    thread = client.threads.create()["thread_id"]
    runs_to_its_end(client, "Compute.", thread)
    return thread


def test_the_agent_is_found(client: Any) -> None:
    found = client.assistants.search(graph_id="single")
    assert [assistant["name"] for assistant in found] == ["single"]


def test_its_schemas_say_what_goes_in_and_what_a_caller_may_set(client: Any) -> None:
    (assistant,) = client.assistants.search(graph_id="single")
    schemas = client.assistants.get_schemas(assistant["assistant_id"])
    assert list(schemas["input_schema"]["properties"]) == ["messages"]
    assert {"messages", "turn", "stop", "answer"} <= set(schemas["state_schema"]["properties"])
    context = schemas["context_schema"]["properties"]
    assert {"user", "tenant", "max_steps", "max_tokens", "max_time_s"} <= set(context)
    assert context["max_steps"]["default"] == 8


@pytest.mark.parametrize("xray", [False, True])
def test_it_is_drawn_with_its_five_steps(client: Any, *, xray: bool) -> None:
    (assistant,) = client.assistants.search(graph_id="single")
    drawn = client.assistants.get_graph(assistant["assistant_id"], xray=xray)
    assert [node["id"] for node in drawn["nodes"]] == [
        "__start__",
        "receive",
        "plan",
        "execute",
        "observe",
        "respond",
        "__end__",
    ]
    edges = {(edge["source"], edge["target"], bool(edge.get("conditional"))) for edge in drawn["edges"]}
    assert edges == {
        ("__start__", "receive", False),
        ("receive", "plan", True),
        ("receive", "respond", True),
        ("plan", "execute", True),
        ("plan", "respond", True),
        ("execute", "observe", False),
        ("observe", "plan", True),
        ("observe", "respond", True),
        ("respond", "__end__", False),
    }


def test_a_run_is_streamed_step_by_step_and_word_by_word(client: Any, thread: str) -> None:
    modes = ["updates", "messages-tuple", "custom"]
    parts = list(client.runs.stream(thread, "single", input=asks("Compute."), stream_mode=modes))
    steps = [name for part in parts if part.event == "updates" for name in part.data]
    assert steps == STEPS
    tokens = [part.data[0]["content"] for part in parts if part.event == "messages" and _is_token(part)]
    assert "".join(tokens) == "It is forty two."
    assert len(tokens) > 2
    assert [part.data for part in parts if part.event == "custom"] == [{"progress": "calculator is running"}]


def _is_token(part: Any) -> bool:
    message, metadata = part.data
    return message["type"] == "AIMessageChunk" and metadata["langgraph_node"] == "plan" and message["content"]


def test_state_and_history_show_a_checkpoint_after_each_step(client: Any, computed: str) -> None:
    state = client.threads.get_state(computed)
    assert state["next"] == []
    assert state["values"]["answer"] == {"text": "It is forty two.", "status": "answered", "sources": []}
    history = client.threads.get_history(computed, limit=20)
    upcoming = [step for entry in reversed(history) for step in entry["next"]]
    assert upcoming == ["__start__", *STEPS]
    assert client.threads.get(computed)["status"] == "idle"


def test_a_second_turn_knows_the_first(client: Any, thread: str, model: Any) -> None:
    runs_to_its_end(client, "I am Ada.", thread)
    values = runs_to_its_end(client, "Who am I?", thread)
    assert len(values["messages"]) == 4
    told = [message["content"] for message in model.requests[-1]["messages"] if message["role"] == "user"]
    assert told == ["I am Ada.", "Who am I?"]


def test_a_limit_of_the_context_ends_the_run(client: Any, thread: str) -> None:
    values = runs_to_its_end(client, "And on.", thread, context={"max_steps": 2})
    assert values["answer"]["status"] == "step_limit"
    assert values["turn"]["step"] == 2


def test_an_assistant_keeps_its_context(client: Any) -> None:
    assistant = client.assistants.create("single", context={"max_steps": 1})
    values = client.runs.wait(None, assistant["assistant_id"], input=asks("And on."))
    assert (values["answer"]["status"], values["turn"]["step"]) == ("step_limit", 1)


def test_a_finished_run_waits_for_no_other(client: Any) -> None:
    slow, quick = (client.threads.create()["thread_id"] for _ in range(2))
    run = client.runs.create(slow, "single", input=asks("Never mind the time."))
    values = runs_to_its_end(client, "Hello", quick)
    assert values["answer"]["text"] == "You said: Hello"
    assert client.runs.get(slow, run["run_id"])["status"] == "running"
    client.runs.cancel(slow, run["run_id"], wait=True)
    assert client.runs.get(slow, run["run_id"])["status"] == "interrupted"


def test_a_run_that_is_rolled_back_leaves_the_thread_as_it_was(client: Any, thread: str) -> None:
    runs_to_its_end(client, "First.", thread)
    before = client.threads.get_history(thread, limit=100)
    stuck = client.runs.create(thread, "single", input=asks("Never mind the time."))
    end = time.monotonic() + 30
    while client.threads.get_state(thread)["next"] != ["plan"]:
        assert time.monotonic() < end
    values = runs_to_its_end(client, "Second.", thread, multitask_strategy="rollback")
    assert [message["content"] for message in values["messages"]] == [
        "First.",
        "You said: First.",
        "Second.",
        "You said: Second.",
    ]
    after = client.threads.get_history(thread, limit=100)
    assert {entry["checkpoint"]["checkpoint_id"] for entry in before} < {
        entry["checkpoint"]["checkpoint_id"] for entry in after
    }
    assert not [entry for entry in after if entry["metadata"].get("run_id") == stuck["run_id"]]


def test_tool_calls_are_logged_under_the_servers_run_and_thread(
    client: Any, thread: str, server_database: str
) -> None:
    runs_to_its_end(client, "Twice.", thread)
    (run,) = client.runs.list(thread)
    with psycopg.Connection[DictRow].connect(server_database, row_factory=dict_row) as connection:
        calls = connection.execute(
            "select run_id, tool, result from boring.tool_call where thread_id = %s", (thread,)
        ).fetchall()
        runs = connection.execute(
            "select run_id, status from boring.run where thread_id = %s", (thread,)
        ).fetchall()
    assert calls == [{"run_id": run["run_id"], "tool": "calculator", "result": "42"}] * 2
    assert runs == [{"run_id": run["run_id"], "status": "finished"}]


def test_every_form_of_message_that_clients_send_is_read(client: Any) -> None:
    forms: list[Any] = [
        "Hello",
        [{"role": "user", "content": "Hello"}],
        [{"type": "human", "content": "Hello"}],
        [{"type": "human", "content": [{"type": "text", "text": "Hello"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}],
    ]
    threads = [client.threads.create()["thread_id"] for _ in forms]
    runs = [
        client.runs.create(thread, "single", input={"messages": form})
        for thread, form in zip(threads, forms, strict=True)
    ]
    answers = [
        client.runs.join(thread, run["run_id"])["answer"] for thread, run in zip(threads, runs, strict=True)
    ]
    assert answers == [{"text": "You said: Hello", "status": "answered", "sources": []}] * len(forms)


def test_an_empty_question_is_refused_and_no_failure(client: Any) -> None:
    values = runs_to_its_end(client, " ")
    assert values["answer"]["status"] == "refused"


def test_a_copied_thread_goes_its_own_way(client: Any, computed: str) -> None:
    copy = client.threads.copy(computed)["thread_id"]
    assert len(runs_to_its_end(client, "Hello", copy)["messages"]) == 6
    assert len(client.threads.get_state(computed)["values"]["messages"]) == 4


def test_a_run_goes_on_from_an_earlier_checkpoint(client: Any, thread: str) -> None:
    runs_to_its_end(client, "Compute.", thread)
    (planned,) = [
        entry for entry in client.threads.get_history(thread, limit=20) if entry["next"] == ["execute"]
    ]
    values = client.runs.wait(thread, "single", checkpoint=planned["checkpoint"])
    assert values["answer"]["text"] == "It is forty two."


def test_a_deleted_thread_leaves_no_checkpoint(client: Any, thread: str, server_database: str) -> None:
    runs_to_its_end(client, "Hello", thread)
    client.threads.delete(thread)
    with psycopg.connect(server_database) as connection:
        left = connection.execute("select 1 from checkpoints where thread_id = %s", (thread,)).fetchall()
    assert left == []


def test_a_thread_of_a_killed_server_is_found_by_its_id(serving: Any, opened: Any, client: Any) -> None:
    server = serving("--port", "0").wait_until_ready()
    with opened(server) as killed:
        thread = killed.threads.create()["thread_id"]
        runs_to_its_end(killed, "I am Ada.", thread)
    server.end(signal.SIGKILL)
    client.threads.create(thread_id=thread, graph_id="single", if_exists="do_nothing")
    assert client.threads.get_state(thread)["values"]["answer"]["text"] == "You said: I am Ada."
    assert len(runs_to_its_end(client, "Who am I?", thread)["messages"]) == 4


@pytest.fixture
def packages() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named: list[str] = project["tool"]["setuptools"]["packages"]
    return sorted({name.partition(".")[0] for name in named})


def test_every_top_level_package_in_the_server_is_ours(client: Any, packages: list[str]) -> None:
    values = client.runs.wait(None, "probe", input={"packages": packages})
    assert values["files"] == {name: str(ROOT / name / "__init__.py") for name in packages}


def test_a_call_that_blocks_the_server_fails_its_run(client: Any) -> None:
    values = client.runs.wait(None, "probe", input={"packages": [], "nap": True}, raise_error=False)
    assert values["__error__"]["error"] == "BlockingError"


@pytest.mark.parametrize("number", [0, 1])
def test_the_calls_in_the_documentation_work(server: Any, tmp_path: Path, number: int) -> None:
    page = (ROOT / "docs/server.md").read_text()
    block = page.split("```python\n")[number + 1].partition("```")[0]
    assert "http://127.0.0.1:2024" in block
    code = block.replace("http://127.0.0.1:2024", server.url)
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)


def test_the_store_keeps_finds_lists_and_forgets(client: Any) -> None:
    ada = ["users", "ada"]
    client.store.put_item(ada, key="drink", value={"text": "green tea"})
    client.store.put_item(ada, key="pet", value={"text": "a dog"})
    assert client.store.get_item(ada, key="drink")["value"] == {"text": "green tea"}
    found = client.store.search_items(["users"], query="green tea")["items"]
    assert [item["key"] for item in found] == ["drink", "pet"]
    assert client.store.list_namespaces()["namespaces"] == [ada]
    client.store.delete_item(ada, key="pet")
    assert [item["key"] for item in client.store.search_items(["users"])["items"]] == ["drink"]
