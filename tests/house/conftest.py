import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """What pyproject.toml holds."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file that is in the repository or would be at the next `git add`, relative to its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).is_file())


@pytest.fixture(scope="session")
def modules(files: list[Path]) -> list[Path]:
    """Every Python file of the repository."""
    return [path for path in files if path.suffix == ".py"]


@pytest.fixture(scope="session")
def top_level(project: dict[str, Any]) -> list[str]:
    """The top-level packages that are installed."""
    packages: list[str] = project["tool"]["setuptools"]["packages"]
    return sorted({package.partition(".")[0] for package in packages})


@pytest.fixture(scope="session")
def product(modules: list[Path], top_level: list[str]) -> list[Path]:
    """Every Python file of an installed package."""
    return [path for path in modules if path.parts[0] in top_level]
