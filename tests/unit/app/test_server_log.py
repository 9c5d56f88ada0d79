"""Lines of the server's log hold no private data, whoever writes them."""

import logging
from typing import Any

import pytest

from tests.canaries import SENTENCES, left_in


@pytest.fixture
def formatter() -> Any:
    """What the server formats its lines by; its import sets the level of all logs."""
    root = logging.getLogger()
    level = root.level
    try:
        from app.server_log import PrivateFormatter  # noqa: PLC0415
    finally:
        root.setLevel(level)
    return PrivateFormatter(None, None, "%")


@pytest.mark.filterwarnings("ignore:Remove `format_exc_info`:UserWarning")
def test_a_line_of_the_server_holds_no_private_data(formatter: Any) -> None:
    error = ValueError(SENTENCES)
    exc_info = (ValueError, error, None)
    record = logging.LogRecord("boring", logging.ERROR, __file__, 1, "It said %s", (SENTENCES,), exc_info)
    told = formatter.format(record)
    assert "It said write to [EMAIL]" in told
    assert "ValueError" in told
    assert left_in(told) == []


@pytest.mark.filterwarnings("ignore:Remove `format_exc_info`:UserWarning")
def test_a_line_of_the_server_steers_no_terminal_and_forges_no_other(formatter: Any) -> None:
    hostile = "\x1b[2J\x9b\u202e\nERROR all is well"
    exc_info = (ValueError, ValueError(hostile), None)
    told = formatter.format(logging.LogRecord("boring", logging.ERROR, __file__, 1, hostile, (), exc_info))
    assert r"\u001b[2J\u009b\u202e\nERROR" in told
    assert not {"\x9b", "\u202e"} & set(told)
    assert "\x1b[2J" not in told
    assert not [line for line in told.split("\n")[1:] if not line.startswith("    ")]
