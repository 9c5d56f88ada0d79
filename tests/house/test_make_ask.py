import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The real Makefile beside a setup that is done and a `boring` that tells what it was given."""
    place = tmp_path / "a folder"
    (place / ".ci").mkdir(parents=True)
    (place / ".venv/bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", place)
    for path, body in {".ci/setup.sh": "", ".venv/bin/boring": 'printf "%s\\0" "$@"\n'}.items():
        (place / path).write_text(f"#!/bin/sh\n{body}")
        (place / path).chmod(0o755)
    return place


def ask(checkout: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env={"PATH": "/usr/bin:/bin", **env},
        check=False,
        capture_output=True,
        text=True,
    )


QUESTIONS = [
    "What is 17 * 23?",
    "it's \"quoted\" and 'quoted'",
    "$HOME $(HOME) $$ ${PATH} $(shell touch made-by-make)",
    "`touch made-by-shell` $(touch made-by-shell); touch made-by-shell",
    "two\nlines\n\nand a third",
    "-h --help",
    "100% \\n \\ # ! & | < > ~ *",
    "Wie groß ist der Ätna? 富士山は? 🙂",
    "two  spaces  within and one at the end ",  # make drops those at the start
    "$",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_arrives_as_it_was_typed(checkout: Path, question: str) -> None:
    given = ask(checkout, "ask", f"Q={question}")
    assert given.stdout == f"ask\0--index\0docs\0--\0{question}\0", given.stderr
    assert given.stderr == ""
    assert not list(checkout.glob("made-by-*"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_in_the_environment_arrives_too(checkout: Path, question: str) -> None:
    given = ask(checkout, "ask", Q=question)
    assert given.stdout == f"ask\0--index\0docs\0--\0{question}\0", given.stderr
    assert not list(checkout.glob("made-by-*"))


def test_no_question_is_answered_with_how_to_ask(checkout: Path) -> None:
    given = ask(checkout, "ask")
    assert given.returncode != 0
    assert given.stdout == ""
    assert 'make ask Q="' in given.stderr


def test_the_default_target_lists_every_target(checkout: Path) -> None:
    listed = ask(checkout).stdout
    for target in ("help", "setup", "ask", "test", "check", "lock", "clean"):
        assert f"  make {target}" in listed


def test_a_failed_setup_stops_before_the_question(checkout: Path) -> None:
    (checkout / ".ci/setup.sh").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    given = ask(checkout, "ask", "Q=Hi")
    assert given.returncode != 0
    assert given.stdout == ""
    assert "broken" in given.stderr
