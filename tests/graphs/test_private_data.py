"""What a run is told in confidence is in no trace of it, wherever the trace goes."""

import gzip
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from pydantic import SecretStr

from app.logs import LogLines
from core.context import RunContext
from core.errors import ToolError
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from memory.facts import remember
from memory.items import Origin
from nodes.remembering import MemoryPolicy
from observability.noting import note_decision
from observability.tracing import current_tracing
from tests.canaries import CANARIES, SENTENCES, left_in
from tests.graphs.remembering import ADA, remembering, rows, turn
from tests.trace_places import Place, opened_place
from tools.contract import contract

_log = logging.getLogger(__name__)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened_place() as opened:
        yield opened


async def look_up(text: str, parts: list[dict[str, str]]) -> str:
    """Look something up."""
    _log.warning("Looked up: %s", text)
    span = trace.get_current_span()
    span.set_attributes({"asked": text, "parts": [one["deep"] for one in parts]})
    span.add_event("heard", {"text": text})
    span.add_link(span.get_span_context(), {"text": text})
    span.set_status(Status(StatusCode.ERROR, text))
    note_decision("tool", text, step=1, reason=text, candidates=[text, "look_up"])
    return f"found {text} and {json.dumps(parts)}"


async def fail(text: str) -> str:
    """Fail."""
    try:
        _refuse(text)
    except ValueError as error:
        _log.exception("It failed")
        raise ToolError(f"can't do {text}") from error
    return text


def _refuse(text: str) -> None:
    raise ValueError(text)


async def run(speaking: Any, context: RunContext = ADA) -> Any:
    """Run a turn to which everything private was told."""
    for number, (sentence, _) in enumerate(CANARIES.values()):
        origin = Origin(context.tenant, "ada", trusted=True)
        await remember(f"The user said: {sentence}", subject=f"s{number}", origin=origin)
    found = ToolCall("look_up", {"text": SENTENCES, "parts": [{"deep": one} for one, _ in CANARIES.values()]})
    llm = await speaking(
        [
            Reply(
                tool_calls=(
                    found,
                    ToolCall("fail", {"text": SENTENCES}),
                    ToolCall(f"made up {SENTENCES}", {"x": SENTENCES}),
                )
            ),
            f"Done: {SENTENCES}",
        ]
    )
    tools = [contract(look_up), contract(fail)]
    agent = create_agent(llm=llm, tools=tools, memory=MemoryPolicy(learn=False))
    result = await turn(agent, f"Look this up: {SENTENCES}", thread=thread_of(context), context=context)
    assert SENTENCES in result["answer"]["text"]
    await (await current_tracing()).flush()
    return result


def thread_of(context: RunContext) -> str:
    return "t" if context is ADA else f"t {context.tenant}"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the log be written as a command does, each line as JSON."""
    handler = LogLines(logging.WARNING)
    monkeypatch.setattr("app.logs._as_json", lambda: True)
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


async def kept() -> dict[str, str]:
    tables = {
        "spans": await rows("select to_jsonb(span)::text as row from boring.span"),
        "decisions": await rows("select to_jsonb(decision)::text as row from boring.decision"),
        "counts": await rows("select to_jsonb(span_count)::text as row from boring.span_count"),
        "calls": await rows("select to_jsonb(tool_call)::text as row from boring.tool_call"),
    }
    return {name: "\n".join(row["row"] for row in found) for name, found in tables.items()}


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("span_content", [False, True])
async def test_twenty_kinds_of_private_data_are_in_no_trace_no_log_and_nothing_that_is_sent(
    place: Place,
    postgres_url: str,
    tmp_path: Path,
    speaking: Any,
    capsys: pytest.CaptureFixture[str],
    *,
    span_content: bool,
) -> None:
    told: dict[str, Any] = {
        "traces": ("otlp", "phoenix", "langfuse", "langsmith"),
        **{f"{name}_endpoint": place.url for name in ("otlp", "phoenix", "langfuse", "langsmith")},
        "langfuse_public_key": "pk",
        "langfuse_secret_key": SecretStr("sk"),
        "langsmith_api_key": SecretStr("lsv2_1"),
        "span_content": span_content,
    }
    async with remembering(postgres_url, tmp_path, **told):
        result = await run(speaking)
        found = await kept()
    lines = capsys.readouterr().err
    found["log"] = "\n".join(str(json.loads(line)) for line in lines.splitlines())
    found["sent"] = "\n".join(gzip.decompress(one.body).decode("latin-1") for one in place.requests)
    assert all(found.values())
    assert {name: left_in(text) for name, text in found.items()} == {name: [] for name in found}
    assert found["calls"].count("[IBAN]") >= 4
    assert [name for name, text in found.items() if "[IBAN]" not in text] == ["counts"]
    assert '"(no such tool)"' in found["counts"]
    held = {name: text.count("gen_ai.input.messages") for name, text in found.items()}
    assert (held["spans"] > 0, held["sent"] > 0) == (span_content, span_content)
    assert "can't do" in found["calls"]
    first = json.loads(lines.splitlines()[0])
    assert (first["run_id"], first["thread_id"]) == (result["turn"]["run_id"], "t")


@pytest.mark.parametrize(("content", "left"), [("full", True), ("off", False)])
async def test_stored_calls_hold_all_or_nothing_where_the_operator_says_so(
    postgres_url: str, tmp_path: Path, speaking: Any, content: Any, *, left: bool
) -> None:
    async with remembering(postgres_url, tmp_path, content=content):
        await run(speaking)
        [call] = await rows("select * from boring.tool_call where outcome = 'ok'")
        assert (call["arguments"] != {}, SENTENCES in (call["result"] or "")) == (left, left)
        decisions = await rows("select * from boring.decision")
        assert any(one["reason"] for one in decisions) == left


async def test_each_tenant_s_calls_and_decisions_are_kept_as_it_is_set_for_it(
    postgres_url: str, tmp_path: Path, speaking: Any
) -> None:
    settings: dict[str, Any] = {"content": "redacted", "content_of": {"acme": "full", "globex": "off"}}
    left: dict[str, Any] = {}
    async with remembering(postgres_url, tmp_path, **settings):
        for tenant in ("acme", "globex", "other"):
            ended = await run(speaking, RunContext(user="ada", tenant=tenant))
            run_id = ended["turn"]["run_id"]
            [call] = await rows("select * from boring.tool_call where outcome = 'ok' and run_id = %s", run_id)
            decided = await rows("select * from boring.decision where run_id = %s", run_id)
            told = " ".join(str(one) for one in decided)
            left[tenant] = (
                SENTENCES in (call["result"] or ""),
                "[IBAN]" in str(call["arguments"]),
                call["arguments"] == {},
                any(one["reason"] for one in decided),
                "ada.lovelace" in told,
            )
    assert left == {
        "acme": (True, False, False, True, True),
        "globex": (False, False, True, False, False),
        "other": (False, True, False, True, False),
    }
