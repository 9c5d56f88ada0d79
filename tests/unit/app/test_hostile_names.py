"""Names and words of strangers steer no terminal, in whichever command they are shown."""

import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from core.database import Database
from observability import names
from observability.span_store import SpanStore
from tests.commands import boring as command
from tests.runs import begins

HOSTILE, SHOWN = "\x1b[2J\x9b\u202e", "\\u001b[2J\\u009b\\u202e"
EVERYTHING = (
    names.RUN,
    names.CONVERSATION,
    names.USER,
    names.AGENT,
    names.TOOL,
    names.OUTCOME,
    names.ERROR_TYPE,
)


@pytest.fixture
async def env(database: Database, postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """A run that is over, all of whose names are hostile."""
    await begins(database, HOSTILE, graph=HOSTILE, question=HOSTILE, user=HOSTILE, tenant=HOSTILE)
    made: Any = TracerProvider().get_tracer("test").start_span(HOSTILE)
    named = {**dict.fromkeys(EVERYTHING, HOSTILE), names.TENANT: HOSTILE}
    made.set_attributes({**named, names.OPERATION: names.INVOKE_AGENT})
    made.end()
    await SpanStore(database, {}).deliver([made])
    async with database.pool.connection() as connection:
        await connection.execute("update boring.run set status = 'finished', finished_at = now()")
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": postgres_url, "COLUMNS": "400"}


async def test_what_a_run_and_its_spans_are_called_is_shown_as_codes(env: dict[str, str]) -> None:
    for words in (("trace", HOSTILE), ("trace", HOSTILE, "--follow"), ("runs",), ("why", HOSTILE)):
        code, out, err = await command(*words, env=env)
        assert (code, SHOWN in out) == (0, True), (words, out, err)
        assert not set(HOSTILE) & set(out) - set("[2J"), words


async def test_what_is_said_of_a_run_is_shown_as_codes(env: dict[str, str]) -> None:
    said = (
        "--down",
        *(word for name in ("by", "comment", "correction", "key") for word in (f"--{name}", HOSTILE)),
    )
    for words in (
        ("feedback", HOSTILE, *said),
        ("feedback", "show", HOSTILE),
        ("feedback", "list", "--tenant", HOSTILE),
        ("trace", HOSTILE),
    ):
        code, out, err = await command(*words, env=env)
        assert (code, SHOWN in out) == (0, True), (words, out, err)
        assert not set(HOSTILE) & set(out) - set("[2J"), words
