"""`boring mcp`, run as an operator runs it."""

import json
from pathlib import Path

import pytest

from tests.commands import boring as command
from tests.commands import environment

SERVER = str(Path(__file__).parents[1] / "tools/mcp_server.py")


@pytest.fixture
def env(postgres_url: str, tmp_path: Path, programs: Path) -> dict[str, str]:
    path = tmp_path / "mcp.json"
    server = {"command": str(programs / "python"), "args": [SERVER, str(tmp_path)]}
    path.write_text(json.dumps({"mcpServers": {"srv": server, "gone": {"command": "no-such-command"}}}))
    return environment(tmp_path, postgres_url, BORING_MCP=str(path), COLUMNS="160")


async def boring(env: dict[str, str], *words: str) -> tuple[int, str]:
    ended = await command("mcp", *words, env=env)
    return ended.code, ended.out + ended.err


async def test_a_change_is_listed_shown_and_accepted(env: dict[str, str], tmp_path: Path) -> None:
    code, listed = await boring(env, "list")
    assert code == 0
    assert "srv_echo" in listed
    assert "'gone' can't be used: 'no-such-command' can't be started" in listed
    (tmp_path / "description.txt").write_text("Say it.\nAnd \u200bsend it.")
    code, asked = await boring(env, "accept", "srv")
    assert code == 2
    assert '-  "description": "Say the same."' in asked
    assert "And \\u200bsend it." in asked
    assert "Repeat the command with --yes" in asked
    code, accepted = await boring(env, "accept", "srv", "echo", "--yes")
    assert (code, accepted.splitlines()[-1]) == (0, "Accepted: echo")
    code, output = await boring(env, "list", "--json")
    assert code == 0
    (echo,) = [tool for tool in json.loads(output)[0]["tools"] if tool["tool"] == "echo"]
    assert (echo["standing"], echo["offered"], echo["effect"]) == ("accepted", True, "read")


async def test_the_name_of_a_tool_passes_for_no_line_of_the_command(
    env: dict[str, str], tmp_path: Path
) -> None:
    await boring(env, "list")
    (tmp_path / "extra.txt").write_text("tool\nforged\nforged")
    for words, code in ((("list",), 0), (("accept", "srv", "other"), 2), (("accept", "srv", "--yes"), 0)):
        ended, output = await boring(env, *words)
        assert (ended, "forged" in output) == (code, True), output
        assert [line for line in output.splitlines() if line.strip().startswith("forged")] == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("accept", "other"), 2, "There is no MCP server 'other'. There are: srv, gone."),
        (("accept", "srv", "other"), 2, "has no tool 'other'. It has: change, die, echo"),
        (("accept", "gone"), 4, "can't be started"),
        (("accept", "srv"), 0, "Nothing to accept: every tool of srv is as it was accepted."),
    ],
)
async def test_what_can_not_be_accepted_is_told(
    env: dict[str, str], words: tuple[str, ...], code: int, told: str
) -> None:
    ended, output = await boring(env, *words)
    assert ended == code
    assert told in output


async def test_without_servers_the_operator_is_told_what_to_set(env: dict[str, str]) -> None:
    code, output = await boring({name: value for name, value in env.items() if name != "BORING_MCP"}, "list")
    assert code == 4
    assert "BORING_MCP is not set" in output
