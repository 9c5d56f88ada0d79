"""A real Phoenix server shows what a run did. It is installed apart, since it brings a lot along.

`docs/testing.md` says how. Nothing of it but its server is used: no telemetry, no assistant.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.types import Command
from pydantic import SecretStr

from core.context import RunContext
from core.prices import Price
from core.process import opened_process
from core.settings import Settings
from graphs.single import create_agent
from guardrails.approval import always
from memory.checkpoints import postgres_checkpointer
from observability.feedback import NewFeedback
from observability.rating import give_feedback
from observability.tracing import current_tracing
from tests.graphs.approvals import ASKED, config, pays
from tools.contract import contract

ROOT = Path(__file__).resolve().parents[2]
PHOENIX = os.environ.get("BORING_TEST_PHOENIX") or str(ROOT / ".tools" / "phoenix" / "bin" / "phoenix")
OFF = {
    "PHOENIX_TELEMETRY_ENABLED": "false",
    "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    "PHOENIX_AGENTS_DISABLE_WEB_ACCESS": "true",
    "PHOENIX_AGENTS_DISABLE_BASH": "true",
    "PHOENIX_AGENTS_DISABLE_GITHUB": "true",
    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    "PHOENIX_ENABLE_MCP_SERVER": "false",
}
STARTING_S = 110
APPROVE = {"decisions": [{"type": "approve"}], "by": "ann"}
pytestmark = [
    pytest.mark.skipif(shutil.which(PHOENIX) is None, reason="Phoenix is not installed, see docs/testing.md"),
    pytest.mark.timeout(180),
]


@dataclass
class Phoenix:
    url: str

    async def get(self, path: str, project: str = "shop") -> Any:
        async with httpx.AsyncClient(base_url=f"{self.url}/v1/projects/{project}") as client:
            reply = await client.get(path)
            reply.raise_for_status()
            return reply.json()["data"]


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    """A server with a database of its own, that speaks to nobody else."""
    folder = tmp_path_factory.mktemp("phoenix")
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        http, grpc = one.getsockname()[1], two.getsockname()[1]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        **OFF,
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([PHOENIX, "serve"], env=env, cwd=folder, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{http}"
        wait_for(url, server, folder / "log")
        yield Phoenix(url)
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    transport = httpx.HTTPTransport(retries=0)
    with httpx.Client(transport=transport, timeout=1) as client:
        for _ in range(STARTING_S):
            try:
                client.get(f"{url}/healthz").raise_for_status()
            except httpx.HTTPError:
                try:
                    server.wait(1)
                except subprocess.TimeoutExpired:
                    continue
                raise AssertionError(f"Phoenix has ended: {log.read_text()}") from None
            else:
                return
    raise AssertionError(f"Phoenix does not answer: {log.read_text()}")


async def ran(phoenix: Phoenix, postgres_url: str, folder: Path, speaking: Any) -> int:
    """Let an agent ask for an approval and go on after it; return how many spans Phoenix has taken."""
    told: Any = {"traces": ("phoenix",), "phoenix_endpoint": phoenix.url, "phoenix_project": "shop"}
    told["span_content"] = True
    prices = {"scripted": Price(input=1, output=10)}
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=folder, cache_dir=folder, prices=prices, **told
    )

    async def pay(amount: int, to: str = "shop") -> str:
        """Pay an amount."""
        return f"paid {amount} to {to}"

    async with opened_process(settings):
        llm = await speaking([pays(500), "Done."])
        saver = await postgres_checkpointer()
        tools = [contract(pay, approval=always)]
        agent = create_agent(llm=llm, tools=tools, name="clerk", checkpointer=saver)
        ada = RunContext(user="ada", tenant="acme")
        await agent.ainvoke(ASKED, config("order 7"), context=ada)
        await agent.ainvoke(Command(resume=APPROVE), config("order 7"), context=ada)
        tracing = await current_tracing()
    assert tracing.outlets[1].dropped == 0
    return tracing.outlets[1].delivered


async def test_phoenix_shows_tree_kinds_tokens_cost_and_session_and_an_interrupt_is_no_error(
    phoenix: Phoenix, postgres_url: str, tmp_path: Path, speaking: Any
) -> None:
    spans = await arrived(phoenix, await ran(phoenix, postgres_url, tmp_path, speaking))
    assert kinds(spans) == {
        ("invoke_agent clerk", "AGENT", None),
        *((f"step {step}", "CHAIN", "invoke_agent clerk") for step in STEPS),
        ("chat scripted", "LLM", "step plan"),
        ("execute_tool pay", "TOOL", "step execute"),
    }
    assert {one["status_code"] for one in spans} == {"UNSET"}
    asked = [one for one in spans if one["attributes"].get("boring.outcome") == "interrupted"]
    assert {"invoke_agent clerk", "step review"} <= {one["name"] for one in asked}
    for chat in (one["attributes"] for one in spans if one["span_kind"] == "LLM"):
        used, said = chat["llm.token_count.prompt"], chat["llm.token_count.completion"]
        assert chat["llm.cost.total"] == pytest.approx(used * 1e-6 + said * 1e-5)
        assert chat["llm.model_name"] == "scripted"
    assert {one["attributes"]["user.id"] for one in spans} == {"ada"}
    paid = [one["attributes"] for one in spans if one["name"] == "execute_tool pay"]
    assert "paid 500 to shop" in [one.get("output.value") for one in paid]
    assert all(json.loads(one["input.value"])["amount"] == 500 for one in paid)
    assert {name for one in paid for name in one if name.startswith("tool.parameters")}
    answers = [one["attributes"].get("llm.output_messages.0.message.content") for one in spans]
    assert "Done." in answers
    questions = [one for one in spans if one["name"] == "invoke_agent clerk"]
    assert all(json.loads(one["attributes"]["input.value"])[0]["content"] == "Pay" for one in questions)
    [session] = await phoenix.get("/sessions")
    assert session["session_id"] == "order 7"
    assert len(session["traces"]) == 2


STEPS = ("receive", "plan", "review", "execute", "observe", "respond")


def kinds(spans: list[dict[str, Any]]) -> set[tuple[str, str, str | None]]:
    """Return each span with its kind and the one above it."""
    named = {one["context"]["span_id"]: one["name"] for one in spans}
    return {(one["name"], one["span_kind"], named.get(one["parent_id"])) for one in spans}


async def test_phoenix_shows_what_was_said_of_a_run_that_sampling_had_left_out(
    phoenix: Phoenix, postgres_url: str, tmp_path: Path, speaking: Any
) -> None:
    told: Any = {"traces": ("phoenix",), "phoenix_endpoint": phoenix.url, "phoenix_project": "rated"}
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path, traces_sample=0.0, **told
    )
    async with opened_process(settings):
        agent = create_agent(llm=await speaking(["It is 41."]), name="clerk")
        ended = await agent.ainvoke(ASKED, context=RunContext(user="ada"))
        tracing = await current_tracing()
        await tracing.flush()
        assert tracing.outlets[1].delivered == 0
        run_id = ended["turn"]["run_id"]
        await give_feedback("local", NewFeedback(run_id, "ada", score=0.5))
        await tracing.feedback[0].flush()
        one = await give_feedback("local", NewFeedback(run_id, "ada", 0.0, "Write to ada@example.com."))
        await tracing.feedback[0].flush()
        many = tracing.outlets[1].delivered
    spans = {one["name"]: one for one in await arrived(phoenix, many, "rated")}
    root = spans["invoke_agent clerk"]["context"]["span_id"]
    annotation: Any = None
    for _ in range(500):
        found = await phoenix.get(f"/span_annotations?span_ids={root}", "rated")
        if found and found[0]["result"]["score"] == 0.0:
            [annotation] = found
            break
    assert (annotation["name"], annotation["annotator_kind"]) == ("user_score", "HUMAN")
    assert annotation["identifier"] == str(one.id)
    said = annotation["result"]
    assert (said["label"], said["explanation"]) == ("thumbs_down", "Write to [EMAIL].")


async def arrived(phoenix: Phoenix, many: int, project: str = "shop") -> list[dict[str, Any]]:
    """Return the spans when Phoenix, which stores them in the background, has all."""
    for _ in range(500):
        try:
            spans = await phoenix.get("/spans?limit=1000", project)
        except httpx.HTTPStatusError:  # the project comes with its first span
            continue
        if len(spans) >= many:
            return spans
    raise AssertionError(f"Phoenix shows not all of {many} spans")
