import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.commands import app

COMMANDS = [info.callback.__name__ for info in app.registered_commands if info.callback]


def test_the_installed_command_shows_its_commands_and_exit_codes(tmp_path: Path) -> None:
    boring = Path(sys.executable).with_name("boring")
    told = subprocess.run([boring, "--help"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert told.stderr == ""
    assert "Exit codes" in told.stdout
    assert [name for name in COMMANDS if f" {name} " not in told.stdout] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_each_of_its_inputs_means(name: str) -> None:
    runner = CliRunner()
    assert runner.invoke(app, [name, "--help"]).exit_code == 0
    command = typer.main.get_command(app).commands[name]  # pyright: ignore[reportAttributeAccessIssue]
    assert command.help
    assert [param.name for param in command.params if not getattr(param, "help", None)] == []


def test_help_names_files_of_graphs_and_speaks_of_no_calls_where_runs_are_listed() -> None:
    commands = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    helps = {(name, param.name): param.help for name in COMMANDS for param in commands[name].params}
    assert all("./shop.py:graph" in helps[name, "graph"] for name in ("ask", "chat", "resume"))
    assert all("calls" not in told for (_, option), told in helps.items() if option == "since")


def test_an_unknown_option_is_refused_with_exit_code_2() -> None:
    assert CliRunner().invoke(app, ["ask", "--no-such-option", "Hi"]).exit_code == 2
