import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("ruff", "basedpyright", "lint-imports", "python")


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """The real check script with tools that only tell that they ran."""
    for name in (".ci/check.sh", ".ci/run", "Makefile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    setup = tmp_path / ".ci/setup.sh"
    setup.write_text("#!/bin/sh\n")
    setup.chmod(0o755)
    for tool in TOOLS:
        replace(tmp_path, tool, 'echo "ran $(basename "$0") $*"; echo "3 passed in 1.00s"')
    return tmp_path


def replace(checkout: Path, tool: str, body: str) -> None:
    path = checkout / ".venv/bin" / tool
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(checkout: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=checkout, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


RAN = [
    "ran ruff check .",
    "ran ruff format --check .",
    "ran basedpyright",
    "ran lint-imports",
    "ran python -m pytest",
]


def test_the_check_runs_every_part(checkout: Path) -> None:
    code, told = run(checkout, "make", "check")
    assert code == 0
    assert [line for line in RAN if line not in told] == []


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("command", ["make check", ".ci/run"])
def test_one_failed_part_fails_the_whole_and_hides_no_other(checkout: Path, tool: str, command: str) -> None:
    replace(checkout, tool, 'echo "ran $(basename "$0") $*"; exit 3')
    code, told = run(checkout, *command.split())
    assert code != 0
    assert [line for line in RAN if line not in told] == []


def test_ci_runs_the_documented_test_command_the_check_and_what_takes_minutes(checkout: Path) -> None:
    code, told = run(checkout, ".ci/run")
    assert code == 0
    assert "make test" in told
    assert [line for line in (*RAN, "-m slow", "-m setup", "-m model") if line not in told] == []
    assert "3 passed in 1.00s" in told.partition("=== summary")[2]


def test_markers_without_a_test_are_no_failure_in_ci(checkout: Path) -> None:
    replace(checkout, "python", 'case "$*" in *model*) exit 5 ;; esac')
    assert run(checkout, ".ci/run")[0] == 0


def test_an_unknown_part_is_refused(checkout: Path) -> None:
    code, told = run(checkout, ".ci/check.sh", "lnt")
    assert code == 2
    assert "lint types floors tests" in told


def test_a_commit_runs_the_same_check(root: Path) -> None:
    config = (root / ".pre-commit-config.yaml").read_text()
    assert "entry: make check\n" in config
    assert "repo: local" in config
    assert "://" not in config
