"""The stdio side of an MCP session: a server that is a child process, and what it writes to its stderr.

langchain-mcp-adapters opens such sessions too, but it expands `${...}` in values that are already final,
reads the environment for it, logs what it can't expand, and leaves the server's stderr on our terminal.
"""

import asyncio
import codecs
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from core.errors import ConfigurationError
from tools.mcp.settings import McpServer

_log = logging.getLogger(__name__)
_CHUNK = 4096
_KEPT_CHARS = 1000
_MAX_LINE_CHARS = 4096


class LastWords:
    """The end of what a server wrote to its stderr, for the message that says why it does not work."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, text: str) -> None:
        """Take note of more."""
        self.text = (self.text + text)[-_KEPT_CHARS:]


class RedactedLines:
    """What a server writes, by lines and without its secrets, wherever the pieces that come are cut."""

    def __init__(self, server: McpServer) -> None:
        self._redacted = server.redacted
        self._longest = max(map(len, server.secrets()), default=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def of(self, chunk: bytes) -> str:
        """Return what can be told once `chunk` has come: whole lines, of a very long one all but its end."""
        text = self._redacted(self._held + self._decoder.decode(chunk))
        whole = text.rfind("\n") + 1
        if len(text) - whole > _MAX_LINE_CHARS + self._longest:
            whole = len(text) - self._longest
        self._held = text[whole:]
        return text[:whole]

    def rest(self) -> str:
        """Return what is left when nothing more comes."""
        text, self._held = self._redacted(self._held + self._decoder.decode(b"", final=True)), ""
        return text


@asynccontextmanager
async def stdio_session(
    server: McpServer, session_kwargs: dict[str, Any], words: LastWords
) -> AsyncGenerator[ClientSession]:
    """Start `server.command` and open a session with it, not yet initialized. The end stops the process.

    Raises:
        ConfigurationError: there is no such command.
    """
    parameters = StdioServerParameters(
        command=server.command or "",
        args=list(server.args),
        env={name: value.get_secret_value() for name, value in server.env.items()},
        cwd=server.cwd,
        encoding_error_handler="replace",
    )
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as ours, os.fdopen(writing, "w") as theirs:
        listening = asyncio.create_task(_listen(ours, server, words), name="mcp stderr")
        try:
            async with (
                _started(stdio_client(parameters, errlog=theirs), server) as (read, write),
                ClientSession(read, write, **session_kwargs) as session,
            ):
                theirs.close()
                yield session
        finally:
            listening.cancel()
            await asyncio.wait([listening])


@asynccontextmanager
async def _started(opening: Any, server: McpServer) -> AsyncGenerator[Any]:
    entered = False
    try:
        async with opening as streams:
            entered = True
            yield streams
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        if entered:
            raise
        raise ConfigurationError(f"{server.command!r} can't be started: {error.strerror}") from error


async def _listen(stream: Any, server: McpServer, words: LastWords) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
    lines = RedactedLines(server)

    def said(text: str) -> None:
        words.add(text)
        if text.strip():
            _log.debug("%s: %s", server.command, text.rstrip())

    try:
        while chunk := await reader.read(_CHUNK):
            said(lines.of(chunk))
    finally:
        transport.close()
        said(lines.rest())
