"""Reads files into the knowledge base, skipping what has not changed."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.text import storable_text, visible
from memory.documents import DocumentStore
from memory.reading import SUFFIXES, passages_of, suffix_of

MAX_FILE_BYTES = 20_000_000
_SKIPPED_FOLDERS = {"node_modules", "__pycache__"}


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing did, in documents; `passages` counts those of the added documents."""

    added: int
    unchanged: int
    removed: int
    passages: int
    skipped: tuple[str, ...]
    """Files that could not be read, each with the reason."""


Advance = Callable[[int, int, str], None]
"""Told the number of files done, of all files, and the file at hand."""


async def index_path(
    store: DocumentStore, path: Path, *, tenant: str, base: Path, advance: Advance | None = None
) -> IndexReport:
    """Bring the knowledge base up to date with a file, or with a folder and all below it.

    Documents are named by their path relative to `base` where they lie below it, else by their absolute path.
    Documents of the folder that are no longer there are removed.

    Raises:
        InputError: the path is not there, can't be read, or holds nothing that can be indexed.
    """
    files = await asyncio.to_thread(check_path, path)
    folder = _name(path, base)
    known = await store.hashes(tenant, folder)
    added = unchanged = passages = 0
    skipped: list[str] = []
    for done, file in enumerate(files):
        name = _name(file, base)
        if advance:
            advance(done, len(files), visible(name))
        before = known.pop(name, None)
        try:
            content, digest = await asyncio.to_thread(_read, file, name)
            if before == digest:
                unchanged += 1
                continue
            chunks = await passages_of(content, suffix_of(file))
        except (OSError, ValueError) as error:
            skipped.append(f"{visible(name)}: {error}")
            continue
        await store.put(tenant, name, digest, chunks)
        added += 1
        passages += len(chunks)
    for gone in known:
        await store.remove(tenant, gone)
    if advance:
        advance(len(files), len(files), "")
    return IndexReport(added, unchanged, len(known), passages, tuple(skipped))


def check_path(path: Path) -> list[Path]:
    """Return the files that indexing `path` would read.

    Raises:
        InputError: the path is not there, can't be read, or holds nothing that can be indexed.
    """
    try:
        return _found(path)
    except PermissionError as error:
        raise InputError(
            f"{error.filename} can't be read by this user. Give the right to read it, or name another path."
        ) from error
    except OSError as error:
        raise InputError(f"{str(path)[:200]} can't be read: {error.strerror}. Name another path.") from error


def _found(path: Path) -> list[Path]:
    allowed = ", ".join(SUFFIXES)
    if not path.exists():
        raise InputError(f"{path} is not there. Give a file or a folder that exists.")
    if path.is_file():
        if suffix_of(path) not in SUFFIXES:
            raise InputError(f"{path} ends in {path.suffix!r}; what can be indexed ends in {allowed}.")
        return [path]
    next(path.iterdir(), None)  # a search through a closed folder finds nothing and says nothing
    found = [
        file
        for file in sorted(path.rglob("*"))
        if suffix_of(file) in SUFFIXES and file.is_file() and not _is_skipped(file.relative_to(path))
    ]
    if not found:
        raise InputError(f"{path} holds no file that ends in {allowed}. Nothing was indexed.")
    return found


def _is_skipped(relative: Path) -> bool:
    return any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in relative.parts)


def _read(file: Path, name: str) -> tuple[bytes, str]:
    if storable_text(name) != name:
        raise ValueError("its name is not in UTF-8; rename it")
    size = file.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size:,} bytes, at most {MAX_FILE_BYTES:,} are read")
    content = file.read_bytes()
    return content, hashlib.sha256(content).hexdigest()


def _name(path: Path, base: Path) -> str:
    resolved, root = path.resolve(), base.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else resolved.as_posix()
