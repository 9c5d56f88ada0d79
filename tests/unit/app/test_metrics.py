"""What Prometheus is shown of a process."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.metrics import shown_metrics
from core.errors import ConfigurationError
from core.prices import Price
from core.process import Process, opened_process
from core.settings import Settings
from observability import names, spans
from observability.costs import Tokens
from observability.metrics import process_metrics
from observability.tracing import METRICS, Tracing, current_tracing


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    settings = Settings(
        database_url=SecretStr(postgres_url),
        data_dir=tmp_path,
        cache_dir=tmp_path,
        prices={"m": Price(input=1, output=10)},
        metrics_port=0,
    )
    process_metrics.cache_clear()
    async with opened_process(settings) as opened:
        yield opened
    process_metrics.cache_clear()


def run(tracing: Tracing) -> None:
    with spans.invocation(tracing.tracer, "clerk", {}, decide=tracing.decisions.put) as one:
        for model in ("m", "own"):
            with spans.step_span(one, "plan", {}), spans.model_span(model, "models.example:1") as spoken:
                spoken.tokens = Tokens(100, 20, cached=40)
        for outcome in ("ok", "timeout", "refused"):
            with spans.step_span(one, "execute", {}), spans.tool_span("pay", "c") as call:
                spans.end_of_call(call, outcome)
        one.interrupted()


async def scraped(port: int) -> dict[tuple[str, ...], float]:
    """Return what is shown, by name and values of labels."""
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"http://127.0.0.1:{port}/metrics")
    reply.raise_for_status()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


@pytest.mark.usefixtures("process")
async def test_times_errors_tokens_and_cost_are_shown_by_what_they_are_of() -> None:
    tracing = await current_tracing()
    async with shown_metrics("127.0.0.1", 0) as port:
        run(tracing)
        await tracing.flush()
        found = await scraped(port)
    assert found["boring_duration_seconds_count", "plan", "run_step"] == 2
    assert found["boring_duration_seconds_count", "pay", "execute_tool"] == 3
    assert found["boring_duration_seconds_sum", "m", "chat"] > 0
    assert found["boring_errors_total", "timeout", "pay", "execute_tool"] == 1
    assert [key for key in found if key[0] == "boring_errors_total" and "pay" not in key] == []
    assert found["boring_interrupts_total", "clerk", "invoke_agent"] == 1
    assert found["boring_tokens_total", "input", "m"] == 100
    assert found["boring_tokens_total", "cached", "m"] == 40
    assert found["boring_cost_usd_total", "m"] == pytest.approx(0.0003)
    assert ("boring_cost_usd_total", "own") not in found
    assert found["boring_unpriced_calls_total", "own"] == 1


async def test_breakers_runs_and_outlets_are_shown_as_they_stand(process: Process) -> None:
    database = await process.database()
    async with database.pool.connection() as connection:
        await connection.execute(
            "insert into boring.breaker (name, state, cooldown_s) values ('tool:pay', 'open', 30)"
        )
        await connection.execute(
            "insert into boring.run (run_id, thread_id, graph, status) values ('r', 't', 'clerk', 'running')"
        )
        await connection.execute(
            "insert into boring.extraction (thread_id, run_id, graph, tenant, user_id, messages)"
            " values ('t', 'r', 'clerk', 'local', 'local', '[]')"
        )
    run(await current_tracing())
    async with shown_metrics("127.0.0.1", 0) as port:
        found = await scraped(port)
    assert found["boring_breaker_open", "tool:pay"] == 1
    assert found["boring_open_runs", "running"] == 1
    assert (found["boring_queue_length", "approvals"], found["boring_queue_length", "learning"]) == (0, 1)
    await process.close()
    spans_of = process_metrics().registry.get_sample_value
    assert spans_of("boring_outlet_spans", {"place": "the database", "state": "delivered"}) == 11
    assert spans_of("boring_outlet_spans", {"place": "the database", "state": "waiting"}) == 0
    decisions = {"what": "decisions", "place": "the database", "state": "dropped"}
    assert spans_of("boring_outlet_items", decisions) == 0


async def call_tools(*tools: str, outcome: str = "ok") -> None:
    """Have spans written of calls of tools, and counted."""
    tracing = await current_tracing()
    with (
        spans.invocation(tracing.tracer, "clerk", {}, decide=tracing.decisions.put) as one,
        spans.step_span(one, "execute", {}),
    ):
        for tool in tools:
            with spans.tool_span(tool, "c") as span:
                spans.end_of_call(span, outcome)
    await tracing.flush()


@pytest.mark.usefixtures("process")
async def test_names_that_a_model_makes_up_do_not_fill_the_memory() -> None:
    await call_tools(*(f"made up {number}" for number in range(300)), outcome="unknown_tool")
    await call_tools(*(f"tool {number}" for number in range(300)))
    shown = process_metrics().registry.get_sample_value
    counted = {
        name: shown("boring_duration_seconds_count", {"operation": "execute_tool", "name": name})
        for name in ("(no such tool)", "tool 0", "made up 0", "other")
    }
    assert counted == {"(no such tool)": 300, "tool 0": 1, "made up 0": None, "other": 101}


@pytest.mark.usefixtures("process")
async def test_a_name_that_a_model_makes_up_of_private_data_is_shown_without_it() -> None:
    await call_tools("mail ann@example.com")
    shown = generate_latest(process_metrics().registry).decode()
    assert "ann@example.com" not in shown
    assert 'name="mail [EMAIL]"' in shown


@pytest.mark.usefixtures("process")
async def test_a_port_that_is_taken_is_said_so() -> None:
    async with shown_metrics("127.0.0.1", 0) as port:
        with pytest.raises(ConfigurationError, match="BORING_METRICS_PORT"):
            async with shown_metrics("127.0.0.1", port):
                pass


@pytest.mark.usefixtures("process")
async def test_a_span_that_can_not_be_counted_has_no_other_one_counted_twice() -> None:
    tracing = await current_tracing()
    async with shown_metrics("127.0.0.1", 0) as port:
        run(tracing)
        with spans.invocation(tracing.tracer, "clerk", {}, decide=tracing.decisions.put) as one:
            with spans.step_span(one, "execute", {}), spans.tool_span("pay", "c") as call:
                spans.end_of_call(call, "timeout")
                assert call is not None
                call.set_attribute(names.ERROR_TYPE, ["odd"])
            run(tracing)
        await tracing.flush()
        found = await scraped(port)
    assert found["boring_duration_seconds_count", "pay", "execute_tool"] == 6
    assert (tracing.outlets[-1].name, tracing.outlets[-1].dropped) == (METRICS, 1)
