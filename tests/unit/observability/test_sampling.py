"""Which traces are sent on: a share of them by their id, all with an error, and those that are asked for."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, sampling
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags
from pydantic import SecretStr

from core.database import Database
from core.process import opened_process
from core.settings import Settings
from observability import names, spans
from observability.costs import Tokens
from observability.sampling import Sampling, in_share
from observability.stored_spans import export_run
from observability.tracing import Tracing, current_tracing
from tests.trace_places import opened_place

OUT, IN = 2**64 - 1, 0
"""Trace ids that are out of and in any share between 0 and 1."""


def span(trace_id: int, number: int, *, above: int | None = 1, error: bool = False) -> ReadableSpan:
    def context(span_id: int) -> SpanContext:
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))

    return ReadableSpan(
        str(number),
        context=context(number),
        parent=None if above is None else context(above),
        status=Status(StatusCode.ERROR) if error else Status(),
    )


def passed(*put: ReadableSpan, share: float = 0.5, room: int = 100) -> tuple[list[str], Sampling]:
    found: list[str] = []
    sampled = Sampling(share, lambda one: found.append(one.name), room=room)
    for one in put:
        sampled.put(one)
    return found, sampled


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_a_trace_is_in_the_share_as_opentelemetry_has_it(trace_id: int, share: float) -> None:
    theirs = sampling.TraceIdRatioBased(share).should_sample(None, trace_id, "x").decision
    assert in_share(trace_id, share) == theirs.is_sampled()


def test_a_trace_out_of_the_share_is_not_sent_and_is_counted() -> None:
    found, sampled = passed(span(OUT, 2), span(OUT, 3), span(OUT, 1, above=None), span(OUT, 4))
    assert (found, sampled.left_out, sampled.dropped) == ([], 4, 0)


def test_a_trace_in_the_share_is_sent_at_once() -> None:
    found, sampled = passed(span(IN, 2), span(IN, 1, above=None))
    assert (found, sampled.left_out) == (["2", "1"], 0)


def test_a_trace_with_an_error_is_sent_whole_wherever_the_error_is() -> None:
    found, sampled = passed(span(OUT, 2), span(OUT, 3, error=True), span(OUT, 4), span(OUT, 1, above=None))
    assert (found, sampled.left_out) == (["2", "3", "4", "1"], 0)
    found, _ = passed(span(OUT, 2), span(OUT, 1, above=None, error=True), share=0)
    assert found == ["2", "1"]


def test_of_agents_below_one_caller_each_is_left_out_or_sent_by_itself() -> None:
    first = [span(OUT, 12, above=11), span(OUT, 13, above=12), span(OUT, 11, above=10)]
    second = [span(OUT, 23, above=22), span(OUT, 24, above=22, error=True), span(OUT, 22, above=21)]
    tops = [span(OUT, 10, above=None), span(OUT, 21, above=None)]
    found, sampled = passed(*first, tops[0], *second, tops[1])
    assert (found, sampled.left_out) == (["23", "24", "22", "21"], 4)
    found, sampled = passed(first[1], second[0], first[0], first[2], tops[0], *second[1:], tops[1])
    assert (found, sampled.left_out) == (["23", "24", "22", "21"], 4)


def test_what_waits_for_the_end_of_traces_is_bounded() -> None:
    held = [span(OUT - 2**64 * number, 2) for number in range(-50, 0)]
    _, sampled = passed(*held, room=10)
    assert sampled.dropped == 40


def written(tracing: Tracing) -> None:
    whose = {names.USER: "ada", names.TENANT: "acme", names.CONVERSATION: "t1"}
    with spans.invocation(tracing.tracer, "clerk", whose, decide=tracing.decisions.put) as one:
        one.belongs_to("run-1", None)
        with spans.step_span(one, "plan", {}), spans.model_span("embedded", "") as spoken:
            spans.note_attempt(1, "ConnectionError")
            spoken.tokens = Tokens(100, 20)


async def test_a_trace_that_a_caller_began_is_left_out_when_its_run_ends(
    postgres_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=SecretStr(postgres_url),
        data_dir=tmp_path,
        cache_dir=tmp_path,
        traces=("phoenix",),
        traces_sample=0,
    )
    async with opened_process(settings):
        tracing = await current_tracing()
        caller = trace.NonRecordingSpan(
            SpanContext(OUT, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        )
        with trace.use_span(caller):
            written(tracing)
            written(tracing)
        sampled = tracing.ways[1].sampling
        assert sampled is not None
        assert sampled.left_out == 6


async def test_a_run_that_was_left_out_is_sent_as_it_was_when_it_is_asked_for(
    postgres_url: str, tmp_path: Path
) -> None:
    sent: list[dict[str, Any]] = []
    for share in (0.0, 1.0):
        async with opened_place() as place:
            told: dict[str, Any] = {"traces": ("phoenix",), "phoenix_endpoint": place.url}
            settings = Settings(
                database_url=SecretStr(postgres_url),
                data_dir=tmp_path,
                cache_dir=tmp_path,
                traces_sample=share,
                **told,
            )
            async with opened_process(settings) as process:
                tracing = await current_tracing()
                written(tracing)
                await recorded(await process.database())
                await tracing.flush()
                assert bool(place.requests) == bool(share)
                assert await export_run("run-1") == (0 if share else 3)
            [request] = place.requests
            sent.append(request.spans)
    first, second = sent
    assert {name: told_of(one) for name, one in first.items()} == {
        name: told_of(one) for name, one in second.items()
    }
    assert [one["name"] for one in first["chat embedded"]["events"]] == ["attempt"]


async def test_a_run_that_is_sent_later_costs_what_it_has_cost(postgres_url: str, tmp_path: Path) -> None:
    async with opened_place() as place:
        told: dict[str, Any] = {"traces": ("phoenix",), "phoenix_endpoint": place.url, "traces_sample": 0}
        settings = Settings(
            database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path, **told
        )
        async with opened_process(settings) as process:
            tracing, database = await current_tracing(), await process.database()
            written(tracing)
            await recorded(database)
            await tracing.flush()
            async with database.pool.connection() as connection:
                await connection.execute("update boring.span set cost_usd = 0.5 where operation = 'chat'")
            await export_run("run-1")
        [request] = place.requests
    assert request.spans["chat embedded"]["attributes"]["llm.cost.total"] == 0.5


async def recorded(database: Database) -> None:
    """Put the run on record, without which no span of it is kept."""
    async with database.pool.connection() as connection:
        await connection.execute(
            "insert into boring.run (run_id, thread_id, graph, status)"
            " values ('run-1', 't1', 'clerk', 'finished') on conflict do nothing"
        )


def told_of(span: dict[str, Any]) -> Any:
    return span["name"], span["kind"], span.get("status"), span["attributes"]
