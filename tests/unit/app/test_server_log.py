"""Lines of the server's log hold no private data, whoever writes them."""

import logging

from app.server_log import PrivateFormatter
from tests.canaries import SENTENCES, left_in


def line(message: str, *told: str, error: Exception | None = None) -> str:
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord("boring.test", logging.ERROR, __file__, 1, message, told, exc_info)
    return PrivateFormatter(None, None, "%").format(record)


def test_a_line_of_the_server_holds_no_private_data() -> None:
    told = line("It said %s", SENTENCES, error=ValueError(SENTENCES))
    assert "It said write to [EMAIL]" in told
    assert "ValueError" in told
    assert left_in(told) == []
