"""What arrives at places for traces: fields and headers, as each place's documentation wants them."""

import base64
import gzip
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceState
from pydantic import SecretStr

from core.errors import ConfigurationError
from core.prices import Price
from core.process import opened_process
from core.settings import Settings
from observability import names, spans
from observability.costs import Tokens
from observability.destinations import destinations
from observability.tracing import Tracing, current_tracing
from tests.trace_places import Place, Request, opened_place, plain

WHOSE = {names.USER: "ada", names.TENANT: "acme", names.CONVERSATION: "t1"}
PRICES = {"m": Price(input=1, output=10)}


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened_place() as opened:
        yield opened


@asynccontextmanager
async def tracing(postgres_url: str, folder: Path, **told: Any) -> AsyncGenerator[Tracing]:
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=folder, cache_dir=folder, prices=PRICES, **told
    )
    async with opened_process(settings):
        yield await current_tracing()


def run(tracing: Tracing, *, fails: bool = False) -> None:
    """Write the spans of a run that asks a model, calls a tool and waits for a person."""
    with spans.invocation(tracing.tracer, "clerk", WHOSE, decide=tracing.decisions.put) as one:
        one.belongs_to("run-1", None)
        at = {names.CHECKPOINT: "here-and-nowhere-else", names.CHECKPOINT_NS: "here-and-nowhere-else"}
        with spans.step_span(one, "plan", at), spans.model_span("m", "api.openai.com/v1") as spoken:
            spoken.tokens = Tokens(100, 20, cached=40, reasoning=5)
        with spans.step_span(one, "execute", {}), spans.tool_span("pay", "call-1") as call:
            spans.end_of_call(call, "error" if fails else "interrupted")
        one.outcome = "interrupted"


async def sent(place: Place, postgres_url: str, folder: Path, **told: Any) -> Request:
    async with tracing(postgres_url, folder, **told) as opened:
        run(opened, fails=True)
        await opened.flush()
        [request] = place.requests
    assert "nowhere-else" not in str(request.spans)
    return request


async def test_phoenix_gets_kinds_tokens_cost_and_session(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    request = await sent(
        place,
        postgres_url,
        tmp_path,
        traces=("phoenix",),
        phoenix_endpoint=place.url,
        phoenix_api_key=SecretStr("key"),
        phoenix_project="shop",
    )
    assert request.path == "/v1/traces"
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.resource["openinference.project.name"] == "shop"
    found = {name: one["attributes"] for name, one in request.spans.items()}
    kinds = {name: one["openinference.span.kind"] for name, one in found.items()}
    assert kinds == {
        "invoke_agent clerk": "AGENT",
        "step plan": "CHAIN",
        "chat m": "LLM",
        "step execute": "CHAIN",
        "execute_tool pay": "TOOL",
    }
    assert {(one["session.id"], one["user.id"]) for one in found.values()} == {("t1", "ada")}
    chat = found["chat m"]
    assert chat["llm.cost.total"] == pytest.approx(100e-6 + 20e-5)
    assert (chat["llm.token_count.prompt"], chat["llm.token_count.completion"]) == (100, 20)
    assert (chat["llm.token_count.total"], chat["llm.token_count.prompt_details.cache_read"]) == (120, 40)
    assert (chat["llm.model_name"], chat["llm.provider"]) == ("m", "openai")
    assert found["execute_tool pay"]["tool.name"] == "pay"


async def test_langfuse_gets_its_login_and_type_session_tags_usage_and_cost(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    request = await sent(
        place,
        postgres_url,
        tmp_path,
        traces=("langfuse",),
        langfuse_endpoint=place.url,
        langfuse_public_key="pk-lf-1",
        langfuse_secret_key=SecretStr("sk-lf-2"),
    )
    assert request.path == "/api/public/otel/v1/traces"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-2").decode()
    assert request.headers["x-langfuse-ingestion-version"] == "4"
    found = {name: one["attributes"] for name, one in request.spans.items()}
    kinds = {name.split()[0]: one["langfuse.observation.type"] for name, one in found.items()}
    assert kinds == {"invoke_agent": "agent", "step": "chain", "chat": "generation", "execute_tool": "tool"}
    for one in found.values():
        assert (one["langfuse.session.id"], one["langfuse.user.id"]) == ("t1", "ada")
        assert one["langfuse.trace.metadata.run_id"] == "run-1"
        assert "acme" in one["langfuse.trace.tags"]
    chat = found["chat m"]
    usage = {"input": 60, "output": 20, "input_cached_tokens": 40, "input_cache_creation": 0, "total": 120}
    assert json.loads(chat["langfuse.observation.usage_details"]) == usage
    assert json.loads(chat["langfuse.observation.cost_details"])["total"] == pytest.approx(0.0003)
    assert found["execute_tool pay"]["langfuse.observation.level"] == "ERROR"
    whole = found["invoke_agent clerk"]
    assert whole["langfuse.observation.status_message"] == "interrupted"


async def test_langsmith_gets_its_key_project_kinds_thread_tags_and_errors(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    request = await sent(
        place,
        postgres_url,
        tmp_path,
        traces=("langsmith",),
        langsmith_endpoint=place.url,
        langsmith_api_key=SecretStr("lsv2_1"),
        langsmith_project="shop",
    )
    assert request.path == "/otel/v1/traces"
    assert (request.headers["x-api-key"], request.headers["langsmith-project"]) == ("lsv2_1", "shop")
    found = {name: one["attributes"] for name, one in request.spans.items()}
    kinds = {name.split()[0]: one["langsmith.span.kind"] for name, one in found.items()}
    assert kinds == {"invoke_agent": "chain", "step": "chain", "chat": "llm", "execute_tool": "tool"}
    for one in found.values():
        assert (one["langsmith.metadata.thread_id"], one["langsmith.metadata.user_id"]) == ("t1", "ada")
    assert found["invoke_agent clerk"]["langsmith.span.tags"] == "clerk,acme"
    chat = found["chat m"]
    assert (chat["gen_ai.system"], chat["langsmith.metadata.ls_model_name"]) == ("openai", "m")
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.total_tokens"]) == (100, 120)
    assert chat["langsmith.metadata.cost_usd"] == pytest.approx(0.0003)
    [event] = request.spans["execute_tool pay"]["events"]
    assert (event["name"], plain(event["attributes"])["exception.type"]) == ("exception", "error")


async def test_any_other_endpoint_gets_the_headers_that_are_set_and_an_interrupt_is_no_error(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    told: dict[str, Any] = {
        "traces": ("otlp",),
        "otlp_endpoint": f"{place.url}/v1/traces",
        "otlp_headers": SecretStr("x-team=red%20one, x-key=a=b"),
    }
    async with tracing(postgres_url, tmp_path, **told) as opened:
        run(opened)
        await opened.flush()
    [request] = place.requests
    assert request.path == "/v1/traces"
    assert (request.headers["x-team"], request.headers["x-key"]) == ("red one", "a=b")
    found = request.spans
    assert {name: one["status"] for name, one in found.items() if one.get("status")} == {}
    assert found["chat m"]["attributes"][names.COST] == pytest.approx(0.0003)
    below = {one["spanId"]: name for name, one in found.items()}
    assert below[found["chat m"]["parentSpanId"]] == "step plan"


async def test_several_places_get_the_same_trace_each_in_its_own_words(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as other:
        told: dict[str, Any] = {
            "traces": ("phoenix", "otlp"),
            "phoenix_endpoint": place.url,
            "otlp_endpoint": other.url,
        }
        async with tracing(postgres_url, tmp_path, **told) as opened:
            run(opened)
        [one], [two] = place.requests, other.requests
    assert one.spans["chat m"]["traceId"] == two.spans["chat m"]["traceId"]
    assert "openinference.span.kind" in one.spans["chat m"]["attributes"]
    assert "openinference.span.kind" not in two.spans["chat m"]["attributes"]


async def test_no_private_data_leaves_by_the_scope_of_a_span_or_its_trace_state(
    place: Place, postgres_url: str, tmp_path: Path
) -> None:
    mail, address = "ada.lovelace@example.org", "http://x/?key=analytical1"
    told: dict[str, Any] = {"traces": ("otlp",), "otlp_endpoint": place.url}
    entries = [("ot", "th:8"), ("vendor", mail), ("password", "analytical1")]
    context = SpanContext(1, 2, is_remote=True, trace_state=TraceState(entries))
    scope = InstrumentationScope(
        f"of {mail}", f"1.0 {mail}", address, {"who": mail, "password": "analytical1"}
    )
    async with tracing(postgres_url, tmp_path, **told) as opened:
        opened.ways[1].put(ReadableSpan("x", context, instrumentation_scope=scope, start_time=1, end_time=2))
        await opened.flush()
    [request] = place.requests
    body = gzip.decompress(request.body)
    assert b"ada.lovelace" not in body
    assert b"analytical1" not in body
    assert request.spans["x"]["traceState"] == "ot=th:8"
    assert b"of [EMAIL]" in body


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"traces": ("langsmith",), "langsmith_tracing": True}, "twice.*unset LANGSMITH_TRACING"),
        ({"traces": ("langsmith",)}, "LANGSMITH_API_KEY"),
        ({"traces": ("langfuse",), "langfuse_public_key": "pk"}, "LANGFUSE_SECRET_KEY"),
        ({"traces": ("otlp",), "otlp_endpoint": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT.*no address"),
        ({"traces": ("otlp",), "otlp_headers": SecretStr("secret")}, "OTEL_EXPORTER_OTLP_HEADERS can't"),
    ],
)
def test_settings_that_can_t_be_used_are_said_so(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        destinations(Settings(**told))
    assert "secret" not in str(raised.value)


def test_no_key_stands_in_what_is_printed() -> None:
    told: Any = {
        "traces": ("langfuse",),
        "langfuse_public_key": "pk",
        "langfuse_secret_key": SecretStr("sk-hidden"),
    }
    settings = Settings(**told)
    token = base64.b64encode(b"pk:sk-hidden").decode()
    printed = repr(settings) + repr(destinations(settings))
    assert "sk-hidden" not in printed
    assert token not in printed
