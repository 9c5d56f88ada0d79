"""Finished spans as rows of Postgres, which every report and page is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

import psycopg
from opentelemetry.trace import StatusCode

from core.database import Database
from core.errors import TransientError
from core.forgetting_gate import pass_gate
from core.prices import Price
from core.text import stored_json
from core.trace_settings import Content
from observability import names
from observability.costs import Tokens, cost_of
from observability.redactor import redacted, redacted_value
from observability.span_content import kept_content

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

COLUMNS: Final = {
    names.OPERATION: "operation",
    names.AGENT: "agent",
    names.STEP: "step",
    names.TOOL: "tool",
    names.PROVIDER: "provider",
    names.RUN: "run_id",
    names.CONVERSATION: "thread_id",
    names.TENANT: "tenant",
    names.USER: "user_id",
    names.OUTCOME: "outcome",
    names.ERROR_TYPE: "error_type",
    names.INPUT_TOKENS: "input_tokens",
    names.OUTPUT_TOKENS: "output_tokens",
    names.CACHED_TOKENS: "cached_tokens",
    names.CACHE_WRITE_TOKENS: "cache_write_tokens",
    names.REASONING_TOKENS: "reasoning_tokens",
}
_CONTENT: Final = frozenset(names.CONTENT)
_LONG: Final = 4_000
"""Characters from which on a text is looked through beside the event loop."""
_PORTION: Final = 16
"""Spans with content or long texts that are looked through at once."""
NO_SUCH_TOOL: Final = "(no such tool)"
"""What calls of tools are counted under whose names a model made up."""
_INSERT: LiteralString = """
with stored as (
    insert into boring.span select span.*
    from jsonb_populate_recordset(null::boring.span, %s::jsonb) as span
    where span.run_id is null or exists (select from boring.run where run.run_id = span.run_id)
    on conflict do nothing
    returning started_at, operation, agent, step, tool, model, tenant, duration_ms, status, outcome,
        input_tokens, output_tokens, cost_usd, run_id
), cost as (
    insert into boring.run_cost as known (run_id, model_calls, cost_usd, unpriced)
    select run_id, count(*), coalesce(sum(cost_usd), 0), count(*) filter (where cost_usd is null)
    from stored where operation = 'chat' and run_id is not null group by run_id order by run_id
    on conflict (run_id) do update set model_calls = known.model_calls + excluded.model_calls,
        cost_usd = known.cost_usd + excluded.cost_usd, unpriced = known.unpriced + excluded.unpriced
)
insert into boring.span_count as counted
select period, every_tenant, case when every_tenant then '' else tenant end,
    date_trunc(period, started_at, 'UTC'), operation,
    coalesce(case operation when 'chat' then model
        when 'execute_tool' then case when outcome = 'unknown_tool' then %s else tool end
        when 'run_step' then step else agent end, '?'),
    boring.duration_bucket(duration_ms), count(*), count(*) filter (where status = 'error'),
    coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0),
    count(*) filter (where operation = 'chat' and cost_usd is null)
from stored,
    (values ('hour', false), ('hour', true), ('day', false), ('day', true)) as level (period, every_tenant)
group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
on conflict (period, every_tenant, tenant, begins, operation, name, bucket) do update set
    calls = counted.calls + excluded.calls, errors = counted.errors + excluded.errors,
    input_tokens = counted.input_tokens + excluded.input_tokens,
    output_tokens = counted.output_tokens + excluded.output_tokens,
    cost_usd = counted.cost_usd + excluded.cost_usd, unpriced = counted.unpriced + excluded.unpriced
"""
"""Stores spans, counts them and adds up what runs cost, in one order so that writers wait in no circle.

What ends after its user was forgotten leaves no span: then there is no record of its run. Whoever forgets a
user waits for what is being stored of them, and what comes meanwhile waits for that.
"""


class SpanStore:
    """Writes spans of one process."""

    def __init__(
        self,
        database: Database,
        prices: Mapping[str, Price],
        content_of: Callable[[str], Content] = lambda _: "redacted",
    ) -> None:
        """Make one.

        Args:
            database: where.
            prices: of own models.
            content_of: how what was said in a tenant's runs is kept.
        """
        self._database = database
        self._prices = prices
        self._content_of = content_of
        self._days: set[str] = set()

    async def deliver(self, spans: Sequence[ReadableSpan]) -> None:
        """Store spans, each once.

        Raises:
            TransientError: the database can't be reached now.
        """
        if _take_long(spans):
            portions = [await asyncio.to_thread(self._rows, some) for some in in_portions(spans)]
            rows = [row for some in portions for row in some]
        else:
            rows = self._rows(spans)
        try:
            try:
                await self._insert(rows)
            except psycopg.errors.CheckViolation:  # a day has gone by retention meanwhile
                self._days.clear()
                await self._insert(rows)
        except psycopg.errors.ProgramLimitExceeded:  # a name that is too long for an index is so later too
            raise
        except psycopg.OperationalError as error:
            raise TransientError(type(error).__name__) from error

    def _rows(self, spans: Sequence[ReadableSpan]) -> list[dict[str, Any]]:
        rows = [row_of(span, self._prices) for span in spans]
        return [_private(row, self._content_of(row["tenant"])) for row in rows]

    async def _insert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        async with self._database.pool.connection() as connection, connection.transaction():
            for tenant, user in sorted({(row["tenant"], row["user_id"]) for row in rows if row["run_id"]}):
                await pass_gate(connection, tenant, user)
            await connection.execute("select set_config('synchronous_commit', 'off', true)")
            for day in {row["started_at"][:10] for row in rows} - self._days:
                await connection.execute("select boring.make_span_day(%s::date)", (day,))
            await connection.execute(_INSERT, (stored_json(rows), NO_SUCH_TOOL))
        self._days |= {row["started_at"][:10] for row in rows}


def in_portions(spans: Sequence[ReadableSpan]) -> Iterator[Sequence[ReadableSpan]]:
    """Yield spans as many at a time as a thread works on: what it has begun, nobody can end."""
    many = _PORTION if _take_long(spans) else len(spans)
    for first in range(0, len(spans), many or 1):
        yield spans[first : first + many]


def _take_long(spans: Sequence[ReadableSpan]) -> bool:
    """Return whether one of these spans holds what was asked or answered, or else a long text."""
    for span in spans:
        held = span.attributes or {}
        if not _CONTENT.isdisjoint(held):
            return True
        for one in held.values():
            if type(one) is str and len(one) > _LONG:
                return True
    return False


def row_of(span: ReadableSpan, prices: Mapping[str, Price]) -> dict[str, Any]:
    """Return the columns of a finished span, with what its model call has cost.

    A span that belongs to no run, since the call failed before its first step, is nobody's.
    """
    attributes = cast("dict[str, Any]", span.attributes).copy()  # a view's, which is read one by one else
    row: dict[str, Any] = {column: attributes.pop(name, None) for name, column in COLUMNS.items()}
    asked = attributes.pop(names.REQUEST_MODEL, None)
    context, begun, ended = span.get_span_context(), span.start_time or 0, span.end_time or 0
    started = datetime.fromtimestamp(begun / 1e9, UTC)
    attributes.pop(names.SESSION, None)
    if row["run_id"] is None:
        row |= {"user_id": None, "thread_id": None}
    row |= {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent and not span.parent.is_remote else None,
        "name": span.name,
        "operation": row["operation"] or names.RUN_STEP,
        "tenant": row["tenant"] or "",
        "user_id": row["user_id"] or "",
        "model": attributes.get(names.RESPONSE_MODEL) or asked,
        "started_at": started.isoformat(),
        "duration_ms": (ended - begun) / 1e6,
        "status": _status(span, row["outcome"]),
        "cost_usd": _cost(row, asked, started, prices),
        "attributes": attributes,
        "events": [
            {"name": one.name, "at_ns": one.timestamp, **(one.attributes or {})} for one in span.events
        ],
        "links": [f"{one.context.trace_id:032x}-{one.context.span_id:016x}" for one in span.links],
    }
    return row


def _private(row: Mapping[str, Any], content: Content) -> dict[str, Any]:
    """Return a row without private data, but for the names of who and what it belongs to.

    What was asked and answered is kept as the setting says.
    """
    attributes, events = row["attributes"], row["events"]
    apart = {name: held for name, held in attributes.items() if name in names.PLACES or _counts(name, held)}
    said = {name: held for name, held in attributes.items() if name not in apart and name not in _CONTENT}
    if not _CONTENT.isdisjoint(attributes):
        apart |= kept_content(attributes, content)
    told = {"attributes": redacted_value(said) | apart, "events": redacted_value(events) if events else []}
    made_up = {name: redacted(held) for name in ("name", "tool", "error_type") if (held := row[name])}
    return {**row, **told, **made_up}


def _counts(name: str, held: object) -> bool:
    """Return whether an attribute is a number of our own, which is nobody's."""
    return name == names.NUMBER and type(held) is int


def _status(span: ReadableSpan, outcome: object) -> str:
    if outcome == "interrupted":
        return "interrupted"
    return "error" if span.status.status_code is StatusCode.ERROR else "ok"


def _cost(
    row: Mapping[str, Any], asked: object, started: datetime, prices: Mapping[str, Price]
) -> str | None:
    if row["operation"] != names.CHAT or row["input_tokens"] is None:
        return None
    tokens = Tokens(
        row["input_tokens"],
        row["output_tokens"] or 0,
        row["cached_tokens"] or 0,
        row["cache_write_tokens"] or 0,
        row["reasoning_tokens"] or 0,
    )
    if row["error_type"] and tokens == Tokens():  # nobody charges for it, whatever the model's price
        return "0"
    cost = cost_of(str(asked), tokens, provider=row["provider"] or "", at=started, own=prices)
    return None if cost is None else str(cost)
