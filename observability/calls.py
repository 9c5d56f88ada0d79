"""The log of tool calls: one row for every call, written once, after it ended."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from core.database import Database
from core.trace_settings import Content
from observability.contents import kept_calls

_INSERT = """
insert into boring.tool_call (id, thread_id, run_id, step, call_id, tool, effect, arguments, attempt, outcome,
                              result, error, latency_ms, key, replayed, approved_by, started_at, finished_at)
values (%(id)s, %(thread_id)s, %(run_id)s, %(step)s, %(call_id)s, %(tool)s, %(effect)s, %(arguments)s,
        %(attempt)s, %(outcome)s, %(result)s, %(error)s, %(latency_ms)s, %(key)s, %(replayed)s,
        %(approved_by)s, %(started_at)s::timestamptz,
        %(started_at)s::timestamptz + make_interval(secs => %(latency_ms)s / 1000))
on conflict (id) do nothing
"""
_NOT_KEPT = frozenset({"sources", "edited_by", "settled_by", "handed_on", "used"})
"""What a `tools.records.CallRecord` tells that has no column."""


async def log_calls(
    database: Database,
    *,
    thread_id: str,
    run_id: str,
    calls: Iterable[tuple[Mapping[str, Any], str]],
    content: Content = "redacted",
) -> None:
    """Write finished calls in one round trip. Told twice of the same call, it keeps the first row.

    Args:
        database: where the log is.
        thread_id: the thread that the calls belong to.
        run_id: the run that the calls belong to.
        calls: for each call its `tools.runtime.CallRecord` and the result as the model saw it.
        content: how the arguments, the result and the error are kept, see `observability.contents`.
    """
    rows = [
        {
            **{key: value for key, value in record.items() if key not in _NOT_KEPT},
            "id": uuid.uuid5(uuid.NAMESPACE_OID, f"{run_id}|{record['step']}|{record['call_id']}"),
            "thread_id": thread_id,
            "run_id": run_id,
            "arguments": record["arguments"],
            "result": result if record["outcome"] == "ok" else None,
        }
        for record, result in calls
    ]
    if not rows:
        return
    rows = await kept_calls(rows, content)
    for row in rows:
        row["arguments"] = Jsonb(row["arguments"])
    async with database.pool.connection() as connection, connection.cursor() as cursor:
        await cursor.executemany(_INSERT, rows)
