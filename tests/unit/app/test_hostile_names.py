"""Names and words of strangers steer no terminal, in whichever command they are shown."""

import io
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from rich.console import Console

from app.events import Ended, Event, Step, Token, Waiting
from app.questions import Asked
from app.screen import PeopleScreen
from core.database import Database
from core.settings import PROJECT_ROOT
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
        await connection.execute(
            "update boring.run set status = 'finished', finished_at = now(), reason = %s", (HOSTILE,)
        )
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": postgres_url, "COLUMNS": "400"}


async def test_what_a_run_and_its_spans_are_called_is_shown_as_codes(env: dict[str, str]) -> None:
    for words in (
        ("trace", HOSTILE),
        ("trace", HOSTILE, "--follow"),
        ("runs",),
        ("why", HOSTILE),
        ("threads",),
    ):
        code, out, err = await command(*words, env=env)
        assert (code, SHOWN in out) == (0, True), (words, out, err)
        assert not set(HOSTILE) & set(out) - set("[2J"), words


async def test_json_of_a_command_holds_the_same_and_steers_no_terminal(
    env: dict[str, str],
) -> None:
    for words in (("trace", HOSTILE), ("runs",)):
        code, out, err = await command(*words, "--json", env=env)
        assert (code, out.rstrip("\n").isprintable()) == (0, True), (words, err)
        told = json.loads(out)
        assert (told if words == ("trace", HOSTILE) else told[0])["question"] == HOSTILE


def test_every_command_writes_json_in_the_one_way() -> None:
    sources = {path.name: path.read_text() for path in (PROJECT_ROOT / "app").glob("*.py")}
    assert [
        name for name, source in sources.items() if re.search(r"(echo|out|print)\(json\.dumps", source)
    ] == []


async def test_a_message_of_an_error_steers_no_terminal(env: dict[str, str]) -> None:
    code, out, err = await command(
        "feedback", "export", "--tenant", HOSTILE, "--cases", f"/nowhere/{HOSTILE}", env=env
    )
    assert (code, SHOWN in err, out) == (2, True, "[]\n")
    assert not set(HOSTILE) & set(err) - set("[2J")


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


async def test_a_thread_that_is_called_like_markup_is_listed(env: dict[str, str], database: Database) -> None:
    await begins(database, "r", thread_id="[/dim]", question="[/bold]")
    code, out, err = await command("threads", env=env)
    assert (code, "[/dim]" in out, "[/bold]" in out) == (0, True, True), err


async def test_what_is_asked_and_answered_steers_no_terminal_where_a_question_is_asked() -> None:
    async def events() -> AsyncIterator[Event]:
        yield Step(HOSTILE, f"shout: {HOSTILE}\n  • forged", 0.1, (HOSTILE,))
        yield Token(f"one {HOSTILE}")
        turn: Any = {"run_id": "r", "input_tokens": 1, "output_tokens": 1, "elapsed_s": 0.1}
        yield Ended({"text": f"one {HOSTILE} two {HOSTILE}", "status": "answered", "sources": []}, turn)

    async def waits() -> AsyncIterator[Event]:
        yield Waiting((Asked("q", "other", f"May I? {HOSTILE}", f'"{HOSTILE}"'),), "r")

    out = io.StringIO()
    screen = PeopleScreen(Console(file=out, force_terminal=True, color_system=None, width=200))
    for shown in (events(), waits()):
        await screen.show(shown, thread_id="t")
    assert not {"\x9b", "\u202e"} & set(out.getvalue())
    assert "\x1b[2J" not in out.getvalue()
    assert "\n  • forged" not in out.getvalue()
    assert out.getvalue().count(SHOWN) == 7
