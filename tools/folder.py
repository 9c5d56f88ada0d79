"""One folder whose inside can be read and written, and whose outside can't be reached.

Every step of a path is opened by itself, relative to the folder before it and never through a symbolic link:
a link that is swapped in while we work is not followed either. For Linux and macOS. All of it blocks.
"""

import errno
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import ConfigurationError, ToolError

MAX_DEPTH = 20
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _ROOT | os.O_NOFOLLOW
# Not blocking: a FIFO that is swapped in for a file must not hold us.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WORDS = {
    errno.ENOENT: "There is no {path!r}. `list_files` shows what there is.",
    errno.ENOTDIR: "{path!r} goes through something that is no folder, or is a link; links are not followed.",
    errno.ELOOP: "{path!r} is a link; links are not followed.",
    errno.EISDIR: "{path!r} is a folder.",
    errno.EEXIST: "{path!r} is in the way: something that is no folder has that name.",
    errno.EACCES: "{path!r} may not be opened.",
    errno.ENAMETOOLONG: "{path!r} is too long a name.",
    errno.ENOSPC: "There is no space left for {path!r}.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder holds.

    Attributes:
        path: from the root, with `/`.
        kind: `other` is what is never opened: links, devices, sockets, pipes.
        size_bytes: of a file.
    """

    path: str
    kind: str
    size_bytes: int = 0


class Folder:
    """The folder `root` and what is in it. Paths are relative, with `/`; `""` is the root.

    Every method raises `ToolError` where a path leads outside or to nothing that can be used, and
    `ConfigurationError` where the root itself is gone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a regular file of at most `max_bytes`."""
        *folders, name = steps(path, file=True)
        with _told(path), self._opened(folders) as folder:
            return _content(folder, name, max_bytes)

    def entries(self, path: str) -> list[Entry]:
        """Return what a folder holds, by name."""
        folders = steps(path)
        with _told(path), self._opened(folders) as folder:
            prefix = "".join(f"{name}/" for name in folders)
            return [_entry(folder, prefix, name) for name in sorted(os.listdir(folder))]  # noqa: PTH208 - a descriptor, not a path

    def files_below(self, path: str, *, max_bytes: int) -> Generator[tuple[str, bytes | None]]:
        """Yield every regular file below a folder with its content, None where that can't be had."""
        folders = steps(path)
        with _told(path), self._opened(folders) as top:
            for where, below, names, folder in os.fwalk(".", dir_fd=top, follow_symlinks=False):
                below.sort()
                for name in sorted(names):
                    shown = str(PurePosixPath(*folders, where, name))
                    if _entry(folder, "", name).kind == "file":
                        try:
                            yield shown, _content(folder, name, max_bytes)
                        except (OSError, ToolError):
                            yield shown, None

    def write(self, path: str, content: bytes) -> bool:
        """Make a file hold `content`, whole or not at all; return whether it held something else before.

        Folders on the way are made. What is written has reached the disk.
        """
        *folders, name = steps(path, file=True)
        with _told(path), self._opened(folders, make=True) as folder:
            before = _status(folder, name)
            if before and not stat.S_ISREG(before.st_mode):
                raise ToolError(f"{path!r} is a folder, a link or a device; only regular files are written.")
            if before and before.st_size == len(content) and _content(folder, name, len(content)) == content:
                return False
            _replace(folder, name, content, None if before is None else stat.S_IMODE(before.st_mode))
            return True

    @contextmanager
    def _opened(self, folders: list[str], *, make: bool = False) -> Generator[int]:
        try:
            here = os.open(self.root, _ROOT)
        except OSError as error:
            raise ConfigurationError(
                f"The folder {self.root} of the file tools can't be opened: {error.strerror}. "
                "Create it, or name another."
            ) from error
        try:
            for name in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=here)
                below = os.open(name, _FOLDER, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)


def steps(path: str, *, file: bool = False) -> list[str]:
    """Return the names on the way from the root to `path`.

    Raises:
        ToolError: the path is absolute, goes up, has characters that no name should have, or names no file.
    """
    plain = PurePosixPath(path)
    if plain.is_absolute() or ".." in plain.parts:
        raise ToolError(f"{path!r} leads outside. Paths begin in the root folder and have no '..'.")
    if not path.isprintable() or "\\" in path:
        raise ToolError(f"{path!r} has a character in it that no name here may have.")
    if file and (not plain.parts or path.endswith("/")):
        raise ToolError(f"{path!r} names no file.")
    if len(plain.parts) > MAX_DEPTH:
        raise ToolError(f"{path!r} is {len(plain.parts)} folders deep; at most {MAX_DEPTH} are allowed.")
    return list(plain.parts)


@contextmanager
def _told(path: str) -> Generator[None]:
    """Turn what the operating system says into words for the model."""
    try:
        yield
    except OSError as error:
        words = _WORDS.get(error.errno or 0, f"{{path!r}} can't be used: {error.strerror}.")
        raise ToolError(words.format(path=path)) from error


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _entry(folder: int, prefix: str, name: str) -> Entry:
    found = _status(folder, name)
    if found and stat.S_ISDIR(found.st_mode):
        return Entry(prefix + name, "folder")
    if found and stat.S_ISREG(found.st_mode):
        return Entry(prefix + name, "file", found.st_size)
    return Entry(prefix + name, "other")


def _content(folder: int, name: str, max_bytes: int) -> bytes:
    # Looked at before it is opened, as opening a device can do something; and after, as it may be another.
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    _check(name, before, max_bytes)
    with open(os.open(name, _READ, dir_fd=folder), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        _check(name, os.fstat(file.fileno()), max_bytes)
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ToolError(f"{name!r} grew over {max_bytes:,} bytes while it was read.")
    return content


def _check(name: str, status: os.stat_result, max_bytes: int) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise ToolError(f"{name!r} is a link; links are not followed.")
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"{name!r} is a folder; `list_files` shows what is in it.")
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{name!r} is a device, a pipe or a socket; only regular files are read.")
    if status.st_size > max_bytes:
        raise ToolError(f"{name!r} has {status.st_size:,} bytes; at most {max_bytes:,} are read.")


def _replace(folder: int, name: str, content: bytes, mode: int | None) -> None:
    draft = f".{secrets.token_hex(8)}.part"
    try:
        with open(os.open(draft, _WRITE, 0o666, dir_fd=folder), "wb") as file:  # noqa: PTH123 - a descriptor
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        raise
