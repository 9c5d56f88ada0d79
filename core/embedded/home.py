"""Where the embedded Postgres of one folder keeps what: locks for its clients, data for its server.

Both live in the folder. Where the server's user can't reach the folder (root's own checkout below a
closed home), the server's part lives in `/var/lib/boring-agents` and the folder notes where.
No permission of a parent folder is ever changed.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from core.embedded.processes import User, can_reach, give, service_user
from core.errors import DatabaseError

ELSEWHERE = Path("/var/lib/boring-agents")
_SHARED_FILES = ("start.lock", "clients.lock", "server.lock", "watchdog.lock", "watchdog.log")


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one embedded Postgres.

    Attributes:
        folder: what its clients share.
        place: what its server owns.
        user: whom the server runs as, or None for the caller.
    """

    folder: Path
    place: Path
    user: User | None

    @property
    def data(self) -> Path:
        """The data directory; it exists only once it is complete."""
        return self.place / "data"

    @property
    def password_file(self) -> Path:
        """The password, for the server's user and root only. Inside the data, since it belongs to them."""
        return self.data / "boring.password"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.place / "server.log"

    def note(self, name: str) -> str | None:
        """Return what was noted about this data directory under a name, or None."""
        path = self.place / f"noted.{name}"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def write_note(self, name: str, text: str) -> None:
        """Note something about this data directory, all of it or nothing."""
        path = self.place / f"noted.{name}"
        scratch = path.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        scratch.write_text(text, encoding="utf-8")
        give(scratch, self.user)
        scratch.replace(path)

    def drop_notes(self) -> None:
        """Forget what was noted, since the data directory is gone."""
        for path in self.place.glob("noted.*"):
            path.unlink()


def lock_file(folder: Path, name: str) -> Path:
    """Return the path of a lock.

    Args:
        folder: what the clients share.
        name: `start` (held while starting, joining or stopping), `clients` (held, shared, by every
            client), `server` (held by every process that touches the data) or `watchdog`.
    """
    return folder / f"{name}.lock"


def create_folder(folder: Path) -> None:
    """Create the folder and what its clients share, owned by whoever owns the place they are in."""
    _create(folder)
    status = folder.stat()
    owner = User(status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    for name in _SHARED_FILES:
        path = folder / name
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            give(path, owner)


def _create(folder: Path) -> None:
    if folder.is_dir():
        return
    _create(folder.parent)
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        above = folder.parent.stat()
        give(folder, User(above.st_uid, above.st_gid))


def find_home(folder: Path, *, create: bool) -> Home:
    """Return the home of a folder that exists. To create one, hold its `start` lock.

    Raises:
        DatabaseError: the server's user can reach neither the folder nor the place for such cases.
    """
    user = service_user(folder)
    note = folder / "elsewhere"
    if note.exists():
        # Only the name counts: root must not be led to any other folder by a file that others may write.
        place = ELSEWHERE / Path(note.read_text(encoding="utf-8").strip()).name
    elif not create or (folder / "data").exists() or _opened(folder, user):
        place = folder
    else:
        # The random part keeps data from coming back when the folder is deleted and made again.
        digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
        place = ELSEWHERE / f"{digest[:12]}-{secrets.token_hex(4)}"
        note.write_text(f"{place}\n", encoding="utf-8")
    if create and place != folder:
        _create(place)
        if not (_opened(ELSEWHERE, user) and _opened(place, user)):
            raise DatabaseError(
                f"The embedded Postgres may not run as root, and its user can reach neither {folder} nor"
                f" {place}. Set BORING_DATA_DIR to a folder that every user can enter, or set DATABASE_URL."
            )
    return Home(folder, place, user)


def _opened(place: Path, user: User | None) -> bool:
    """Let the server's user pass our own folder, and return whether it can reach it."""
    if user is not None and place.stat().st_uid != user.uid:
        place.chmod(0o711)
    return can_reach(place, user)
