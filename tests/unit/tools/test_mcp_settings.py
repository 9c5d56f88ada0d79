"""The file that names MCP servers: what it may hold, and messages that say what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from core.settings import Settings
from tools.mcp.settings import McpServer, mcp_servers


async def read(folder: Path, given: Any) -> dict[str, McpServer]:
    path = folder / "mcp.json"
    path.write_text(given if isinstance(given, str) else json.dumps({"mcpServers": given}))
    return await mcp_servers(path)


async def test_the_common_form_is_read_with_its_extensions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "k3y-of-mine")
    servers = await read(
        tmp_path,
        {
            "files": {
                "command": "server",
                "args": ["--root", "/"],
                "default_effect": "unsafe",
                "tools": {"look": {"effect": "read", "timeout_s": 5, "approval": {"field": "n", "over": 3}}},
            },
            "web": {
                "type": "http",
                "url": "https://x/mcp",
                "headers": {"A": "Bearer ${SOME_KEY}"},
            },
        },
    )
    assert servers["files"].args == ("--root", "/")
    assert servers["files"].tools["look"].approval_policy()({"n": 4}) == "n is 4, over 3."
    assert servers["web"].headers["A"].get_secret_value() == "Bearer k3y-of-mine"
    assert "k3y-of-mine" not in repr(servers)
    assert servers["web"].redacted("401 for k3y-of-mine") == "401 for ***"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "the file holds \\[\\]"),
        (
            {"a": {"comand": "x"}},
            "a.comand holds 'x', but there is no such field. The fields are: type",
        ),
        ({"a": {}}, "mcpServers.a: .*either a command or a url"),
        ({"a": {"command": "x", "url": "http://x"}}, "either a command or a url"),
        ({"a": {"command": "x", "headers": {"A": "b"}}}, "headers to a url"),
        ({"a": {"command": "x", "type": "http"}}, "type 'http' contradicts its command"),
        ({"a": {"url": "ftp://x"}}, "mcpServers.a.url: .*begin with http"),
        ({"a": {"command": "x", "type": "sse"}}, "mcpServers.a.type holds 'sse': .*'streamable-http'"),
        ({"a": {"command": "x", "start_timeout_s": 0}}, "start_timeout_s holds 0: .*greater than 0"),
        ({"a": {"command": "x", "default_effect": "transactional"}}, "'read', 'idempotent' or 'unsafe'"),
        ({"a": {"command": "x", "tools": {"t": {"timeout": 1}}}}, "tools.t.timeout holds 1.*timeout_s"),
        (
            {"a": {"command": "x", "env": {"T": "${NOT_SET_HERE}"}}},
            r"env\.T .*\$\{NOT_SET_HERE\} is not set",
        ),
    ],
)
async def test_a_bad_file_is_refused_by_field(tmp_path: Path, given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        await read(tmp_path, given)
    assert str(tmp_path / "mcp.json") in str(caught.value)


async def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"env\.T holds a list that is not shown") as caught:
        await read(tmp_path, {"a": {"command": "x", "env": {"T": ["hunter22"]}}})
    assert "hunter22" not in str(caught.value)


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"BORING_MCP names .*none.json"):
        await mcp_servers(tmp_path / "none.json")


def test_an_empty_variable_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORING_MCP", "")
    assert Settings().mcp is None
