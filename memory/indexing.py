"""Reads files into the knowledge base, skipping what has not changed."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.database import Database
from core.errors import InputError
from core.text import storable_text, visible
from memory.chunks import Chunk
from memory.documents import DocumentStore, forget_documents
from memory.reading import SUFFIXES, passages_of, suffix_of

MAX_FILE_BYTES = 20_000_000
_SKIPPED_FOLDERS = {"node_modules", "__pycache__"}
_ALLOWED = ", ".join(SUFFIXES)
_LEADS_OUT = "links out of the folder; index what it leads to by its own path"


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing did, in documents; `passages` counts those of the added documents."""

    added: int
    unchanged: int
    removed: int
    passages: int
    skipped: tuple[str, ...]
    """Files that could not be read and links that were not followed, each with the reason."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path.

    Attributes:
        place: the path itself, in full.
        files: what can be indexed, each by its place at or below `place`.
        leading_out: links that lead out of the folder; they are not followed.
    """

    place: Path
    files: tuple[Path, ...]
    leading_out: tuple[Path, ...] = ()


Advance = Callable[[int, int, str], None]
"""Told the number of files done, of all files, and the file at hand."""


async def index_path(
    store: DocumentStore, path: Path, *, tenant: str, base: Path, advance: Advance | None = None
) -> IndexReport:
    """Bring the knowledge base up to date with a file, or with a folder and all below it.

    Documents are named by their path relative to `base` where they lie below it, else by their absolute path.
    A link to a file is a document at its own place; links out of the folder are skipped. Documents of the
    folder that are no longer there are removed.

    Raises:
        InputError: the path is not there or can't be read, or nothing in it can be indexed and nothing of it
            is on record.
    """
    found = await asyncio.to_thread(check_path, path)
    files, root = found.files, await asyncio.to_thread(base.resolve)
    known = await store.hashes(tenant, _name(found.place, root))
    if not (files or found.leading_out or known):
        raise InputError(f"{path} holds no file that ends in {_ALLOWED}. Nothing was indexed.")
    added = unchanged = passages = 0
    skipped = [f"{visible(_name(link, root))}: {_LEADS_OUT}" for link in found.leading_out]
    for done, file in enumerate(files):
        name = _name(file, root)
        if advance:
            advance(done, len(files), visible(name))
        try:
            changed = await _changed(file, name, known.pop(name, None))
        except (OSError, ValueError) as error:
            skipped.append(f"{visible(name)}: {error}")
            continue
        if changed is None:
            unchanged += 1
            continue
        await store.put(tenant, name, *changed)
        added, passages = added + 1, passages + len(changed[1])
    for gone in known:
        await store.remove(tenant, gone)
    await store.tidy(tenant)
    if advance:
        advance(len(files), len(files), "")
    return IndexReport(added, unchanged, len(known), passages, tuple(skipped))


async def _changed(file: Path, name: str, before: str | None) -> tuple[str, list[Chunk]] | None:
    """Return the digest of a file and its passages; None where the digest is the one of before."""
    content, digest = await asyncio.to_thread(_read, file, name)
    return None if before == digest else (digest, await passages_of(content, suffix_of(file)))


async def forget_path(database: Database, path: Path, *, tenant: str, base: Path) -> int:
    """Forget the documents that were indexed from a path, which need not be there any more.

    Args:
        database: that of the knowledge base.
        path: a file or a folder with all below it.
        tenant: whose documents.
        base: as `index_path` had it.

    Returns:
        How many documents there were.
    """
    name = await asyncio.to_thread(lambda: _name(_place(path), base.resolve()))
    return await forget_documents(database, tenant, storable_text(name))


def check_path(path: Path) -> Found:
    """Return what indexing `path` would read.

    Raises:
        InputError: the path is not there, can't be read, or is a file of a kind that can't be indexed.
    """
    try:
        return _found(path)
    except PermissionError as error:
        raise InputError(
            f"{error.filename} can't be read by this user. Give the right to read it, or name another path."
        ) from error
    except OSError as error:
        raise InputError(f"{str(path)[:200]} can't be read: {error.strerror}. Name another path.") from error


def _found(path: Path) -> Found:
    if not path.exists():
        raise InputError(
            f"{path} is not there. Give a file or a folder that exists. To forget what was indexed from it,"
            " add --forget to `boring index`."
        )
    if path.is_file():
        if suffix_of(path) not in SUFFIXES:
            raise InputError(f"{path} ends in {path.suffix!r}; what can be indexed ends in {_ALLOWED}.")
        return Found(_place(path), (_place(path),))
    place = _place(path)
    next(place.iterdir(), None)  # a search through a closed folder finds nothing and says nothing
    below = [entry for entry in sorted(place.rglob("*")) if not _is_skipped(entry.relative_to(place))]
    leading_out = dict.fromkeys(entry for entry in below if _leads_out(entry, place))
    inside = (entry for entry in below if suffix_of(entry) in SUFFIXES and entry not in leading_out)
    files = tuple(entry for entry in inside if entry.is_file())
    return Found(place, files, tuple(leading_out))


def _place(path: Path) -> Path:
    """Return the place that documents of a path are named by: of a file its own, of a folder its target's."""
    return path.parent.resolve() / path.name if path.is_file() else path.resolve()


def _leads_out(entry: Path, folder: Path) -> bool:
    """Return whether it is a link out of a folder, to a folder or to what its name says is a document."""
    if not entry.is_symlink() or not (suffix_of(entry) in SUFFIXES or os.path.isdir(entry)):  # noqa: PTH112 - false also where it can't be looked at
        return False
    return not Path(os.path.realpath(entry)).is_relative_to(folder)  # a ring of links does not raise here


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


def _name(place: Path, root: Path) -> str:
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else place.as_posix()
