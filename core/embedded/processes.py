"""Processes that run as another user, or outlive the one that starts them."""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import DatabaseError

_CLEAN_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}
"""Nothing of the caller's: its `PG*`, `LD_*` and locale variables would change what the server does."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a process runs as."""

    uid: int
    gid: int


def service_user(folder: Path) -> User | None:
    """Return whom Postgres runs as for an existing folder, or None for the caller itself.

    Postgres refuses to run as root. Root hands it to the folder's owner, else to `postgres`, else to
    `nobody`.

    Raises:
        DatabaseError: the caller is root and there is no such user.
    """
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    if owner.st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(entry.pw_uid, entry.pw_gid)
    raise DatabaseError(
        "The embedded Postgres can't run as root, and this machine has neither a user `postgres` nor"
        " `nobody`. Create one (`useradd --system postgres`), run as an ordinary user, or set DATABASE_URL."
    )


def can_reach(path: Path, user: User | None) -> bool:
    """Return whether the user may pass every folder above the path, and enter or run the path itself."""
    if user is None:
        return True
    resolved = path.resolve()
    return all(_may_pass(part, user) for part in (*resolved.parents, resolved))


def _may_pass(path: Path, user: User) -> bool:
    status = path.stat()
    bit = stat.S_IXOTH
    if status.st_uid == user.uid:
        bit = stat.S_IXUSR
    elif status.st_gid == user.gid:
        bit = stat.S_IXGRP
    return bool(status.st_mode & bit)


def give(path: Path, user: User | None) -> None:
    """Make the user the owner of the path, where the caller may differ from it."""
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _as_user(user: User | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}


def run(command: Sequence[str | Path], user: User | None, *, keep: int) -> tuple[int, str]:
    """Run a command to its end and return its exit code and what it wrote.

    Args:
        command: the program and its arguments.
        user: whom it runs as.
        keep: a descriptor that it inherits, such as a lock.
    """
    done = subprocess.run(
        command,
        cwd="/",
        env=_CLEAN_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(keep,),
        check=False,
        **_as_user(user),
    )
    return done.returncode, done.stdout.decode(errors="replace")


def detach(
    command: Sequence[str | Path],
    user: User | None,
    *,
    keep: int,
    log: Path,
    environment: dict[str, str] | None = None,
) -> None:
    """Start a command that nobody waits for: no child of ours, in its own session, holding none of our pipes.

    Args:
        command: the program and its arguments.
        user: whom it runs as.
        keep: a descriptor that it inherits, such as a lock.
        log: a file to which it writes.
        environment: variables on top of a clean environment.
    """
    with log.open("ab") as output:
        # The shell puts the command into the background and ends, so the command becomes the child of init.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            cwd="/",
            env=_CLEAN_ENVIRONMENT | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(keep,),
            check=True,
            **_as_user(user),
        )
