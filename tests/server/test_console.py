"""The console on the server: the pages beside the server's own, and runs that the server goes on with."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from langgraph_sdk import get_sync_client
from langsmith import Client

from app.server_settings import read_server_file

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("console")  # its tests share a server, so one worker runs them


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shop")
    (made / "shop.py").write_text((Path(__file__).parent / "shop.py").read_text())
    given = read_server_file(ROOT / "langgraph.json") | {
        "graphs": {"shop": "./shop.py:graph", "around": "./shop.py:around"}
    }
    (made / "langgraph.json").write_text(json.dumps(given))
    return made


@pytest.fixture(scope="module")
def started(serving: Any, folder: Path) -> Any:
    return serving("--port", "0", "--config", str(folder / "langgraph.json")).wait_until_ready()


@pytest.mark.parametrize("graph", ["shop", "around"])
def test_an_approval_in_the_console_has_the_server_go_on_with_its_run(
    started: Any, opened: Any, folder: Path, graph: str
) -> None:
    before = shipped_in(folder)
    with opened(started) as client, httpx.Client(base_url=f"{started.url}/console") as browser:
        thread = client.threads.create(graph_id=graph)["thread_id"]
        asked = {"messages": [{"role": "user", "content": "Ship order 7."}]}
        client.runs.wait(thread, graph, input=asked, context={"user": "uma"})
        [address] = re.findall(r"/approvals/[0-9a-f-]{36}", browser.get("/approvals").text)
        shown = browser.get(address).text
        assert "uma" in shown
        hidden = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]+)"', shown))
        decided = browser.post(address, data={**hidden, "type": "approve", "by": "ann"})
        assert decided.status_code == 303, decided.text
        assert decided.headers["location"].startswith("/console/runs/")
        while len(runs := client.runs.list(thread)) < 2:
            pass
        client.runs.join(thread, runs[0]["run_id"])
        assert client.threads.get(thread)["status"] == "idle"
        assert client.threads.get_state(thread)["values"]["messages"][-1]["content"] == "That is that."
        [of_thread] = json.loads(started.command("runs", "--thread", thread, "--json", cwd=folder))
        told = (of_thread["run_id"], of_thread["graph"], of_thread["status"])
        assert told == (runs[-1]["run_id"], graph, "finished")
        rating = Client(api_url=started.url, api_key="unused", info={})
        for run in runs:  # the one that asked for approval, and the one that went on: both are the same run
            said: Any = {"score": 1, "comment": "Quick.", "session_id": uuid4()}
            rating.create_feedback(run["run_id"], "user_score", **said)
        [kept] = rating.list_feedback(run_ids=[runs[-1]["run_id"]])
        assert (kept.score, kept.comment, kept.run_id) == (1.0, "Quick.", UUID(runs[-1]["run_id"]))
    assert shipped_in(folder) == [*before, "ship 7"]


def shipped_in(folder: Path) -> list[str]:
    ledger = folder / "ledger"
    return ledger.read_text().splitlines() if ledger.exists() else []


def test_a_request_of_a_run_on_the_server_is_decided_by_the_command_line_too(
    started: Any, opened: Any, folder: Path
) -> None:
    before = shipped_in(folder)
    with opened(started) as client:
        thread = client.threads.create(graph_id="shop")["thread_id"]
        asked = {"messages": [{"role": "user", "content": "Ship order 7."}]}
        client.runs.wait(thread, "shop", input=asked, context={"user": "uma"})
        [waiting] = json.loads(started.command("approvals", "--thread", thread, "--json", cwd=folder))
        told = started.command("approvals", "approve", waiting["id"], "--by", "ann", cwd=folder)
        assert "That is that." in told
        assert client.threads.get_state(thread)["values"]["answer"]["text"] == "That is that."
    assert shipped_in(folder) == [*before, "ship 7"]


def test_the_console_and_the_server_keep_their_own_addresses(started: Any) -> None:
    with httpx.Client(base_url=started.url) as browser:
        assert "application/json" in browser.get("/info").headers["content-type"]
        assert browser.get("/ok").json()["ok"] is True
        shown = browser.get("/console", follow_redirects=True)
        assert "<h1>Runs</h1>" in shown.text
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        assert browser.get("/console/static/console.css").headers["content-type"].startswith("text/css")
        elsewhere = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert browser.get("/console/runs", headers=elsewhere).status_code == 403
    assert "BlockingError" not in started.errors()


AUTH = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def who(authorization: str | None) -> Auth.types.MinimalUserDict:
    if not authorization:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Who are you?")
    name, tenant, *permissions = authorization.removeprefix("Bearer ").split()
    return {"identity": name, "tenant": tenant, "permissions": permissions}
"""


def test_the_servers_authentication_stands_before_the_console_and_says_who_decides(
    serving: Any, folder: Path, server_database: str
) -> None:
    given = json.loads((folder / "langgraph.json").read_text())
    (folder / "auth.py").write_text(AUTH)
    config = folder / "with_auth.json"
    config.write_text(json.dumps({**given, "auth": {"path": "./auth.py:auth"}}))
    server = serving("--port", "0", "--config", str(config)).wait_until_ready()
    signed_in = {"authorization": "Bearer ann acme console:approver"}
    with httpx.Client(base_url=f"{server.url}/console") as browser:
        assert browser.get("/runs").status_code == 401
        studio = {"x-auth-scheme": "langsmith"}
        stranger = {"authorization": "Bearer eve acme"}
        for headers in (studio, stranger):  # who comes as Studio does is asked for nothing by the server
            assert browser.get("/runs", headers=headers).status_code == 403
        browser.headers = signed_in
        with get_sync_client(url=server.url, headers=signed_in) as client:
            thread = client.threads.create(graph_id="shop")["thread_id"]
            asked: Any = {"messages": [{"role": "user", "content": "Ship order 7."}]}
            client.runs.wait(thread, "shop", input=asked, context={"user": "uma", "tenant": "acme"})
        [address] = re.findall(r"/approvals/[0-9a-f-]{36}", browser.get("/approvals").text)
        elsewhere = {"authorization": "Bearer ann other console:approver"}
        assert browser.get(address, headers=elsewhere).status_code == 404
        hidden = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]+)"', browser.get(address).text))
        decided = browser.post(address, data={**hidden, "type": "approve", "by": "bob"})
        assert decided.status_code == 303, decided.text
    with psycopg.connect(server_database) as connection:
        query = "select settled_by, run_id from boring.approval where thread_id = %s"
        [(settled_by, run_id)] = connection.execute(query, (thread,)).fetchall()
        assert settled_by == "ann"
        rating = {"run_id": run_id, "score": 0, "by": "bob"}
        assert httpx.post(f"{server.url}/feedback", json=rating).status_code == 401
        said = httpx.post(f"{server.url}/feedback", json=rating, headers=signed_in)
        assert said.json()["feedback_source"]["metadata"] == {"by": "ann"}, said.text
