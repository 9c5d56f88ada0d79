import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.embedded import binaries
from core.embedded.flock import is_held
from core.embedded.home import ELSEWHERE, create_folder, find_home, lock_file
from core.embedded.postgres import join, leave, status
from core.embedded.processes import User, can_reach, run
from core.errors import DatabaseError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")
_ONE_JOIN = """
import sys
from pathlib import Path
from core.embedded.postgres import join, leave
url, hold = join(Path(sys.argv[1]))
print(url)
leave(Path(sys.argv[1]), hold)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own temporary folder: root's is closed to the user that Postgres runs as.
    path = Path(tempfile.mkdtemp(prefix="boring tests "))
    yield path
    shutil.rmtree(path)


def _join_and_leave(folder: Path) -> None:
    url, hold = join(folder)
    with psycopg.connect(url) as connection:
        connection.execute("select 1")
    leave(folder, hold)
    _until_gone(folder)


def _until_gone(folder: Path) -> None:
    assert not is_held(lock_file(folder, "watchdog"), timeout_s=60)
    assert not is_held(lock_file(folder, "server"), timeout_s=60)


def _ordinary_user() -> User:
    entry = pwd.getpwnam("nobody")
    return User(entry.pw_uid, entry.pw_gid)


@as_root
def test_in_an_ordinary_users_folder_root_leaves_everything_to_that_user(folder: Path) -> None:
    user = _ordinary_user()
    os.chown(folder, user.uid, user.gid)
    folder.chmod(0o755)
    _join_and_leave(folder / "data" / "postgres")
    for path in folder.rglob("*"):
        assert path.stat().st_uid == user.uid, path


@as_root
def test_an_ordinary_user_can_do_it_all(folder: Path) -> None:
    user = _ordinary_user()
    if not can_reach(Path(sys.executable), user) or not can_reach(Path(__file__).parents[2], user):
        pytest.skip("an ordinary user can reach neither this interpreter nor this checkout")
    os.chown(folder, user.uid, user.gid)
    done = subprocess.run(
        [sys.executable, "-c", _ONE_JOIN, folder / "postgres"],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("postgresql://"), done.stderr
    _until_gone(folder / "postgres")


@as_root
def test_data_lie_elsewhere_if_the_servers_user_cannot_reach_the_folder(folder: Path) -> None:
    inner = folder / "postgres"
    _join_and_leave(inner)
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        data = status(inner).data
        assert data is not None
        assert data.parent.parent == ELSEWHERE
        assert not (inner / "data").exists()
        folder.chmod(0o755)
        assert find_home(inner, create=True).data == data
    finally:
        shutil.rmtree(ELSEWHERE / (inner / "elsewhere").read_text().strip().rpartition("/")[2])


@as_root
def test_a_note_cannot_lead_root_out_of_the_place_for_it(folder: Path) -> None:
    create_folder(folder)
    (folder / "elsewhere").write_text("/etc/../root")
    assert find_home(folder, create=False).place == ELSEWHERE / "root"


@as_root
def test_binaries_below_a_closed_folder_are_copied_not_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries.installed()
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for tree in (installed, installed.with_name(f"{installed.name}.libs")):
        shutil.copytree(tree, closed / tree.name, ignore=shutil.ignore_patterns("include"))
    monkeypatch.setattr(binaries, "installed", lambda: closed / installed.name)
    create_folder(folder / "postgres")
    folder.chmod(0o755)
    home = find_home(folder / "postgres", create=True)
    programs = binaries.bin_folder(home)
    assert programs.is_relative_to(folder / "postgres")
    assert closed.stat().st_mode & 0o777 == 0o700
    with Path(os.devnull).open() as nothing:
        code, said = run([programs / "postgres", "--version"], home.user, keep=nothing.fileno())
    assert (code, said.startswith("postgres (PostgreSQL)")) == (0, True)


@as_root
@pytest.mark.parametrize(("megabytes", "is_in_time_for_data"), [(24, False), (40, True)])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    folder: Path, megabytes: int, *, is_in_time_for_data: bool
) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", disk], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount")
    folder.chmod(0o755)
    inner = disk / "postgres"
    try:
        with pytest.raises(DatabaseError, match="The disk is full"):
            join(inner)
        _until_gone(inner)
        assert (inner / "data").exists() == is_in_time_for_data
        assert not list(inner.glob("new-*"))
        subprocess.run(["/bin/mount", "-o", "remount,size=500m", disk], check=True)
        _join_and_leave(inner)
    finally:
        subprocess.run(["/bin/umount", "--lazy", disk], check=True)


def test_a_missing_wheel_names_the_extra_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(DatabaseError, match="extra `local`"):
        join(folder)
    _until_gone(folder)


def test_a_folder_that_cannot_be_made_is_a_clear_error(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(DatabaseError, match="BORING_DATA_DIR"):
        join(folder / "file" / "postgres")


def test_asking_for_the_status_makes_nothing(folder: Path) -> None:
    assert status(folder / "postgres").pid is None
    assert not (folder / "postgres").exists()
