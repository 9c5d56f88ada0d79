"""No line of the log steers a terminal, and none can be forged by what a record tells."""

import json
import logging
import sys

import pytest

from observability.logs import line_of

HOSTILE = "\x1b[2J\x9b\u202eX\u2066\x85\u2028\r\n2026-11-28 ERROR all is well"


def record_of(message: str, error: Exception | None = None) -> logging.LogRecord:
    exc_info = None
    if error is not None:
        try:
            raise error
        except type(error):
            exc_info = sys.exc_info()
    return logging.LogRecord("boring", logging.ERROR, __file__, 1, "It said %s", (message,), exc_info)


def test_a_plain_line_is_one_line_and_shows_what_steers_a_terminal() -> None:
    told = line_of(record_of(HOSTILE), as_json=False)
    assert told.isprintable()
    assert told == (r"It said \u001b[2J\u009b\u202eX\u2066\u0085\u2028\u000d\n2026-11-28 ERROR all is well")


def test_the_lines_of_a_traceback_can_not_be_taken_for_records() -> None:
    first, *others = line_of(record_of("x", ValueError(HOSTILE)), as_json=False).split("\n")
    assert first == "It said x"
    assert others[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert "ERROR all is well" in others[-1]


@pytest.mark.parametrize("told", [HOSTILE, "\udcff and 👩\u200d👧"])
def test_a_line_of_json_holds_the_same_and_shows_nothing_that_steers(told: str) -> None:
    line = line_of(record_of(told, ValueError(told)), as_json=True)
    assert line.isprintable()
    assert json.loads(line)["event"] == f"It said {told}".replace("\udcff", "?")
    assert told.rsplit("\n", maxsplit=1)[-1].replace("\udcff", "?") in json.loads(line)["exception"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_record_whose_arguments_do_not_fit_is_a_line_without_them(as_json: bool) -> None:  # noqa: FBT001 - a parameter of a test
    record = logging.LogRecord(
        "shop", logging.WARNING, "shop.py", 7, "%d of %s", ("ada@example.org", "x"), None
    )
    line = line_of(record, as_json=as_json)
    assert "A line of the log could not be written (TypeError): shop.py:7" in line
    assert "ada@" not in line
    assert "\n" not in line
