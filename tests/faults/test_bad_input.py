"""What the command line says to input that it can't work on: one clear message, and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import boring_now, environment

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def env(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    return environment(
        tmp_path,
        postgres_url,
        OPENAI_BASE_URL=NOWHERE,
        BORING_EMBEDDING_BASE_URL=NOWHERE,
        PYTHONPATH=str(ROOT),
    )


def boring(*arguments: str, env: dict[str, str], stdin: bytes = b"") -> tuple[int, str]:
    ended = boring_now(*arguments, env=env, stdin=stdin)
    said = ended.out + ended.err
    assert "Traceback" not in said, said
    return ended.code, " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ask", ""], "The question is empty. Ask something"),
        (["ask", " \n\t "], "The question is empty"),
        (["ask", "-"], "The question is empty"),
        (["ask", "hi", "--thread", "../../etc"], "can't be a thread"),
        (["ask", "hi", "--max-steps", "0"], "--max-steps"),
        (["ask"], "Missing argument"),
        (["resume", ""], "can't be a thread"),
        (["resume", "nobody"], "There is no thread 'nobody'"),
        (["index", "/nowhere/at/all"], "is not there"),
        (["index", "langgraph.json"], "ends in '.json'"),
        (["frobnicate"], "No such command"),
        (["runs", "--agent", "\udcff"], '"\\udcff" is not in UTF-8'),
        (["index", "caf\udce9.md"], '"caf\\udce9.md" is not in UTF-8'),
        (["feedback", "r", "--up", "--by", "\ud800", "--json"], "is not in UTF-8"),
    ],
)
def test_bad_input_is_refused_with_a_clear_message(
    env: dict[str, str], arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code, said = boring(*arguments, env=env)
    assert code == 2
    assert told in said


def test_a_question_of_a_megabyte_is_refused_and_says_what_to_do(env: dict[str, str]) -> None:
    code, said = boring("ask", "-", env=env, stdin=b"why? " * 200_000)
    assert code == 2
    assert "999,999 characters" in said
    assert "boring index FILE" in said


def test_a_question_of_many_megabytes_is_not_even_read(env: dict[str, str]) -> None:
    code, said = boring("ask", "-", env=env, stdin=b"x" * 11_000_000)
    assert code == 2
    assert "more than 10,000,000 bytes" in said


@pytest.mark.parametrize("words", [["ask", "-"], ["ask", "-", "--json"], ["chat"]])
def test_bytes_that_are_no_text_are_refused(env: dict[str, str], words: list[str]) -> None:
    for given, told in (
        (b"hi \xff\n", '"hi \\udcff'),
        (b"long " * 20 + b"\x1b[2J \xff " + b"line " * 20, "\\u001b[2J \\udcff"),
    ):
        code, said = boring(*words, env=env, stdin=given)
        assert code == 2, said
        assert told in said
        assert "is not in UTF-8. Give texts and names of files in UTF-8." in said
        assert len(said) < 400


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["ascii", "latin-1", "C"],
)
def test_what_a_terminal_has_no_characters_for_is_written_as_codes(
    env: dict[str, str], locale: dict[str, str]
) -> None:
    def started(*words: str, stdin: bytes = b"") -> tuple[int, str]:
        command = [sys.executable, "-m", "app.main", *words]
        done = subprocess.run(command, input=stdin, env=env | locale, capture_output=True, check=False)
        assert b"Traceback" not in done.stderr, done
        return done.returncode, done.stdout.decode("latin-1")

    code, out = started("ask", "-", "--thread", "t", stdin="• Приве́т".encode())
    assert (code, "the model's endpoint can't be reached" in out) == (1, True)
    code, out = started("runs")
    assert (code, "\\u2022 \\u041f" in out) == (0, True), out
    asked = b"hi there" if "latin-1" in locale.values() else "• Приве́т, you".encode()
    assert started("chat", "--thread", "talk", stdin=asked)[0] == 0
    told = json.loads(boring_now("runs", "--json", env=env).out)
    assert told[0]["question"] == asked.decode()


def test_a_model_that_is_gone_ends_the_run_with_a_reason(env: dict[str, str]) -> None:
    code, said = boring("ask", "What is 17 * 23?", env=env)
    assert code == 1
    assert "the model's endpoint can't be reached" in said


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DATABASE_URL", "not a url", "DATABASE_URL can't be read as an address"),
        ("DATABASE_URL", "postgresql://boring:x@127.0.0.1:9/nothing", "the connection was refused"),
        ("BORING_DATABASE_POOL_SIZE", "many", "BORING_DATABASE_POOL_SIZE"),
        ("BORING_PLANNER", "magic", "BORING_PLANNER"),
        ("BORING_PRICES", "abc", "BORING_PRICES holds 'abc': Input should be JSON"),
        ("BORING_ROLES", "{", "BORING_ROLES holds '{': Input should be JSON"),
        ("OPENAI_BASE_URL", "", "BORING_MODEL is 'gpt-x', but neither"),
        ("BORING_EMBEDDING_BASE_URL", NOWHERE, "the embedding model"),
    ],
)
def test_a_setting_that_does_not_work_is_named(
    env: dict[str, str], variable: str, value: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "note.md").write_text("a note")
    code, said = boring(
        "ask",
        "hi",
        "--index",
        str(tmp_path / "note.md"),
        env={**env, "BORING_MODEL": "gpt-x", variable: value},
    )
    assert code == 4, said
    assert told in said


@pytest.mark.parametrize(
    "arguments", [["resume", "[/foo]"], ["index", "/nowhere/[/foo]"], ["index", "/dev/null"]]
)
def test_what_looks_like_markup_is_shown_as_it_is(env: dict[str, str], arguments: list[str]) -> None:
    code, said = boring(*arguments, env=env)
    assert code == 2
    assert arguments[1] in said


def test_an_error_is_json_where_json_was_asked_for(env: dict[str, str]) -> None:
    done = boring_now("resume", "nobody", "--json", env=env)
    assert json.loads(done.out) == {
        "error": "There is no thread 'nobody'. `boring threads` lists the ones there are.",
        "exit_code": 2,
    }


def test_threads_lists_questions_with_markup_and_requests_that_wait(env: dict[str, str]) -> None:
    boring("ask", "What is [/b] [red]?", "--thread", "marked", env=env)
    boring("ask", "Waiting", "--thread", "waits", env={**env, "DATABASE_URL": "postgresql://x@127.0.0.1:9/x"})
    code, said = boring("threads", env=env)
    assert code == 0
    assert "[/b] [red]?" in said
    assert "waits waiting Waiting" in said


def test_a_password_is_never_shown(env: dict[str, str]) -> None:
    address = "postgresql://boring:hunter2secret@127.0.0.1:9/nothing"
    _, said = boring("threads", env={**env, "DATABASE_URL": address})
    assert "hunter2secret" not in said
