"""No secret of a server is told, wherever what it writes is cut into pieces."""

import pytest

from tools.mcp.settings import McpServer
from tools.mcp.stdio import RedactedLines

SECRET = "sk-SECRET-1234567890"  # noqa: S105 - what must not be seen
SERVER = McpServer.model_validate({"command": "x", "env": {"API_KEY": SECRET}})


def told(pieces: list[bytes]) -> str:
    lines = RedactedLines(SERVER)
    return "".join([*map(lines.of, pieces), lines.rest()])


@pytest.mark.parametrize("around", ["", "x" * 9000, "é\n", "a line\n" * 2000])
def test_a_secret_is_hidden_wherever_it_is_cut(around: str) -> None:
    whole = f"{around}{SECRET}{around}{SECRET}\n{around}"
    written = whole.encode()
    for step in (1, 7, 4096) if len(written) < 100 else (1000, 4096, len(around.encode()) + 5):
        pieces = [written[at : at + step] for at in range(0, len(written), step)]
        assert told(pieces) == whole.replace(SECRET, "***")


def test_lines_are_told_as_they_end() -> None:
    lines = RedactedLines(SERVER)
    assert lines.of(b"one\ntw") == "one\n"
    assert lines.of(b"o\n") == "two\n"


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    lines = RedactedLines(SERVER)
    got = sum(len(lines.of(b"x" * 4096)) for _ in range(100))
    assert got > 400_000
