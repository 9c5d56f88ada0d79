"""The tools that list, read, search and write text files in one folder that the operator names."""

import asyncio
from pathlib import Path
from typing import Annotated

from pydantic import Field

from core.errors import ConfigurationError, ToolError
from core.settings import settings
from core.state import Source
from tools.contract import Tool, ToolResult, contract
from tools.folder import Entry, Folder

MAX_BYTES = 2_000_000
MAX_CHARS = 16_000
MAX_ENTRIES = 500
MAX_MATCHES = 50
MAX_SEARCHED_BYTES = 100_000_000
_LINE_CHARS = 200

FilePath = Annotated[
    str, Field(min_length=1, max_length=500, description="path from the root folder, as notes/todo.txt")
]
FolderPath = Annotated[str, Field(max_length=500, description="folder from the root; empty for the root")]


def file_tools(*, root: Path | None = None, max_bytes: int = MAX_BYTES) -> tuple[Tool, Tool, Tool, Tool]:
    """Return the tools `list_files`, `read_file`, `search_files` and `write_file`.

    Args:
        root: the one folder that they reach. Unset, `BORING_FILES_DIR`.
        max_bytes: of a file that is read or written; larger ones are refused.

    Raises:
        ConfigurationError: no folder is named.
    """
    found = root or settings().files_dir
    if found is None:
        raise ConfigurationError("The file tools need a folder: set BORING_FILES_DIR.")
    folder = Folder(found)
    return (
        _listing(folder),
        _reading(folder, max_bytes),
        _searching(folder, max_bytes),
        _writing(folder, max_bytes),
    )


def _listing(folder: Folder) -> Tool:
    async def list_files(path: FolderPath = "") -> str:
        """List the files and folders in a folder, with the sizes of the files in bytes."""
        entries = await asyncio.to_thread(folder.entries, path)
        left_out = len(entries) - MAX_ENTRIES
        note = [f"[{left_out} more left out]"] if left_out > 0 else []
        return "\n".join([*map(_shown, entries[:MAX_ENTRIES]), *note]) or "The folder is empty."

    return contract(list_files, effect="read", timeout_s=20, rest="List a folder further down.")


def _reading(folder: Folder, max_bytes: int) -> Tool:
    async def read_file(
        path: FilePath,
        first_line: Annotated[int, Field(ge=1, description="go on from this line of a long file")] = 1,
    ) -> ToolResult:
        """Read a text file."""
        text = _text(path, await asyncio.to_thread(folder.read, path, max_bytes))
        shown = _part(text, first_line)
        return ToolResult(shown, (Source(source=path, section="", text=shown),))

    return contract(read_file, effect="read", timeout_s=20, rest="Go on with a later first_line.")


def _searching(folder: Folder, max_bytes: int) -> Tool:
    async def search_files(
        text: Annotated[
            str, Field(min_length=1, max_length=200, description="words as they stand in a line")
        ],
        path: FolderPath = "",
    ) -> str:
        """Find the lines that hold a text, in all files below a folder; case does not matter."""
        return await asyncio.to_thread(_search, folder, text, path=path, max_bytes=max_bytes)

    return contract(search_files, effect="read", timeout_s=30, rest="Search for something rarer.")


def _writing(folder: Folder, max_bytes: int) -> Tool:
    async def write_file(
        path: FilePath,
        content: Annotated[str, Field(description="all of the new content")],
    ) -> str:
        """Write a text file: create it, or replace all that it held."""
        data = content.encode(errors="replace")
        if len(data) > max_bytes:
            raise ToolError(f"The content has {len(data):,} bytes; at most {max_bytes:,} are written.")
        changed = await asyncio.to_thread(folder.write, path, data)
        return f"Wrote {len(data):,} bytes to {path}." if changed else f"{path} holds exactly that already."

    return contract(write_file, effect="idempotent", timeout_s=20, provenance="trusted")


def _shown(entry: Entry) -> str:
    name = entry.path if entry.path.isprintable() else ascii(entry.path)
    return {"folder": f"{name}/", "file": f"{name} ({entry.size_bytes:,})"}.get(
        entry.kind, f"{name} (not a file)"
    )


def _text(path: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ToolError(f"{path!r} is not text in UTF-8, so it can't be shown.") from error
    if "\0" in text:
        raise ToolError(f"{path!r} is a binary file, so it can't be shown.")
    return text


def _part(text: str, first_line: int) -> str:
    """Return the lines from `first_line` on, as many as there is room for, with a note of the rest."""
    lines = text.splitlines()
    if not lines:
        return "The file is empty."
    if first_line > len(lines):
        raise ToolError(f"first_line is {first_line}, but the file has {len(lines)} lines.")
    shown: list[str] = []
    room = MAX_CHARS
    for line in lines[first_line - 1 :]:
        room -= len(line) + 1
        if shown and room < 0:
            break
        shown.append(line)
    last = first_line + len(shown) - 1
    if last < len(lines):
        shown.append(f"[lines {first_line} to {last} of {len(lines)}; go on with first_line={last + 1}]")
    return "\n".join(shown)


def _search(folder: Folder, wanted: str, *, path: str, max_bytes: int) -> str:
    sought = wanted.casefold()
    found: list[str] = []
    skipped = read = 0
    for name, content in folder.files_below(path, max_bytes=max_bytes):
        if content is None or b"\0" in content[:8192]:
            skipped += 1
            continue
        read += len(content)
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if sought in line.casefold() and len(found) <= MAX_MATCHES:
                found.append(f"{name}:{number}: {line.strip()[:_LINE_CHARS]}")
        if len(found) > MAX_MATCHES or read > MAX_SEARCHED_BYTES:
            found[MAX_MATCHES:] = ["[stopped here; there may be more]"]
            break
    note = [f"[{skipped} files skipped: too large, or not text]"] if skipped else []
    return "\n".join([*(found or [f"No line holds {wanted!r}."]), *note])
