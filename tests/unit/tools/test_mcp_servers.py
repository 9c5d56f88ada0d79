"""Calls to real MCP servers, over stdio and over streamable HTTP."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.errors import ToolError
from core.process import Process, opened_process
from core.settings import Settings
from tools.contract import Tool
from tools.mcp.tools import mcp_hub, mcp_tools

HERE = Path(__file__).parent
SERVER = str(HERE / "mcp_server.py")
ODD = str(HERE / "mcp_misbehaving.py")
TRANSPORTS = ("stdio", "http")


class Http:
    """The test server over HTTP, which can be killed and started again at the same address."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.folder = folder
        self.child: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        command = [self.python, SERVER, str(self.folder), "--http"]
        self.child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert self.child.stdout is not None
        port = int(await self.child.stdout.readline())
        (self.folder / "port.txt").write_text(str(port))
        self.url = f"http://127.0.0.1:{port}/mcp"

    async def named(self, transport: str) -> dict[str, Any]:
        """Return what the settings say of the test server, started where it is no child of the client."""
        if transport == "stdio":
            return stdio(self.python, self.folder)
        await self.start()
        return {"url": self.url}

    async def stop(self, number: int = signal.SIGKILL) -> None:
        if self.child is not None:
            if self.child.returncode is None:
                self.child.send_signal(number)
            await self.child.wait()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator["asyncio.Queue[str]"]:
    """What the test server says that it does."""
    lines: asyncio.Queue[str] = asyncio.Queue()

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.put_nowait((await reader.readline()).decode().strip())
        writer.close()

    async with await asyncio.start_server(heard, "127.0.0.1", 0) as listener:
        (tmp_path / "log-port.txt").write_text(str(listener.sockets[0].getsockname()[1]))
        yield lines


@pytest.fixture
def python(programs: Path) -> str:
    """Runs a program as the interpreter does, in less time."""
    return str(programs / "python")


@pytest.fixture
async def http(python: str, tmp_path: Path) -> AsyncIterator[Http]:
    server = Http(python, tmp_path)
    yield server
    await server.stop()


@pytest.fixture
async def opened(postgres_url: str, tmp_path: Path) -> AsyncIterator[Callable[[dict[str, Any]], Any]]:
    """Return a function that opens a process for a settings file with the given servers."""
    stack: list[Any] = []

    async def open_with(servers: dict[str, Any], **settings: Any) -> Process:
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        given = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, mcp=path, **settings)
        context = opened_process(given)
        stack.append(context)
        return await context.__aenter__()

    yield open_with
    for context in reversed(stack):
        await context.__aexit__(None, None, None)
    assert [task.get_name() for task in asyncio.all_tasks() if "mcp" in task.get_name()] == []


def stdio(python: str, folder: Path, **more: Any) -> dict[str, Any]:
    return {"command": python, "args": [SERVER, str(folder)], **more}


async def by_name() -> dict[str, Tool]:
    return {tool.name.partition("_")[2]: tool for tool in await mcp_tools()}


def run(tool: Tool, arguments: dict[str, Any], **injected: str) -> Any:
    checked = tool.arguments.model_validate(arguments)
    values = {name: getattr(checked, name) for name in type(checked).model_fields}
    return tool.run(**values, **injected)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_tools_of_a_server_are_called_and_answer(transport: str, http: Http, opened: Any) -> None:
    await opened({"srv": await http.named(transport)})
    tools = await by_name()
    assert await run(tools["echo"], {"text": "Grüße"}) == "Grüße"
    assert await run(tools["total"], {"numbers": [1, 2]}) == '{\n  "total": 3\n}'
    assert (tools["echo"].effect, tools["keep"].effect, tools["fail"].effect) == (
        "read",
        "idempotent",
        "unsafe",
    )
    assert tools["keep"].injected == {"key": "key"}
    assert "'boring/idempotency-key': 'k1'" in await run(tools["keep"], {"text": "x"}, key="k1")
    with pytest.raises(ToolError, match="it is full"):
        await run(tools["fail"], {})


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_dies_during_a_call_leaves_it_in_doubt_and_is_found_again(
    transport: str, http: Http, opened: Any
) -> None:
    await opened({"srv": await http.named(transport)})
    tools = await by_name()
    with pytest.raises(ConnectionError) as caught:
        await run(tools["die"], {})
    assert not isinstance(caught.value, ConnectionRefusedError)
    if transport == "http":
        await http.stop()
        with pytest.raises(ConnectionRefusedError):
            await run(tools["echo"], {"text": "nobody"})
        await http.start()
    assert await run(tools["echo"], {"text": "again"}) == "again"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_that_is_given_up_is_given_up_at_the_server(
    transport: str, http: Http, opened: Any, log: "asyncio.Queue[str]"
) -> None:
    await opened({"srv": await http.named(transport)})
    tools = await by_name()
    waiting = asyncio.create_task(run(tools["wait"], {}))
    assert await log.get() == "wait"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await log.get() == "given up"
    assert await run(tools["echo"], {"text": "still here"}) == "still here"


async def test_calls_of_one_session_run_side_by_side(
    opened: Any, python: str, tmp_path: Path, log: "asyncio.Queue[str]"
) -> None:
    await opened({"srv": stdio(python, tmp_path)})
    tools = await by_name()
    waiting = asyncio.create_task(run(tools["wait"], {}))
    assert await log.get() == "wait"
    async with asyncio.TaskGroup() as group:
        echoes = [group.create_task(run(tools["echo"], {"text": str(n)})) for n in range(20)]
    assert [task.result() for task in echoes] == [str(n) for n in range(20)]
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_a_server_that_does_not_start_costs_no_other_its_tools(
    opened: Any, python: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = await opened(
        {
            "good": stdio(python, tmp_path),
            "silent": {"command": python, "args": [ODD, "silent"], "start_timeout_s": 1},
            "ending": {"command": python, "args": [ODD, "ending"]},
            "endless": {"command": python, "args": [ODD, "endless"]},
            "missing": {"command": "no-such-command-anywhere"},
            "closed": {"url": "http://127.0.0.1:9/mcp"},
        }
    )
    assert {tool.name.partition("_")[0] for tool in await mcp_tools()} == {"good"}
    reports = {report.server: report.error for report in await (await mcp_hub(process)).reports()}
    assert reports["good"] is None
    assert reports["silent"] == "MCP server 'silent' did not answer within 1 s (its `start_timeout_s`)."
    assert "'ending' ended while it was starting. It said: no license found" in str(reports["ending"])
    assert "lists tools without end" in str(reports["endless"])
    assert "'no-such-command-anywhere' can't be started" in str(reports["missing"])
    assert "'closed' can't be used" in str(reports["closed"])
    assert "'silent' did not answer" in caplog.text


async def test_odd_tools_are_named_anew_or_left_out_with_a_reason(opened: Any, python: str) -> None:
    process = await opened({"o d": {"command": python, "args": [ODD, "odd"]}})
    (tool,) = await mcp_tools()
    assert tool.name == "o_d_a_b_c"
    assert tool.description.startswith("Fine.\\u200bxxx")
    assert len(tool.description) < 2100
    (report,) = await (await mcp_hub(process)).reports()
    problems = {tool.tool: tool.problem for tool in report.tools}
    assert "refers to 'http://127.0.0.1:9/s'" in str(problems["remote"])
    assert "not valid" in str(problems["wrong"])
    assert "200" in str(problems["big"])


async def test_secrets_come_from_the_environment_and_show_nowhere(
    opened: Any,
    python: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TEST_TOKEN", "hunter22")
    caplog.set_level("DEBUG")
    await opened({"srv": stdio(python, tmp_path, env={"TOKEN": "${TEST_TOKEN}"})})
    assert await run((await by_name())["secret"], {}) == "hunter22"
    ready = [record.getMessage() for record in caplog.records if "ready" in record.getMessage()]
    assert len(ready) == 1
    assert ready[0].endswith("ready ***")
    assert "hunter22" not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("tools"))


async def test_without_servers_nothing_of_mcp_is_imported() -> None:
    code = (
        "import sys, asyncio, tools.mcp.tools as t\nasyncio.run(t.mcp_tools()); print('mcp' in sys.modules)"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=HERE.parents[2], stdout=asyncio.subprocess.PIPE
    )
    assert (await child.communicate())[0] == b"False\n"


async def test_what_a_server_says_of_a_failure_shows_no_secret(
    python: str, tmp_path: Path, opened: Any
) -> None:
    await opened({"srv": stdio(python, tmp_path, env={"TOKEN": "hunter22"})})
    with pytest.raises(ToolError, match=r"it is full\*\*\*"):
        await run((await by_name())["fail"], {})
