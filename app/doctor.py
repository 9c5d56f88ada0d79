"""The command `doctor`: what is there, what is missing, what to do about it."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.exits import MISCONFIGURED
from app.json_output import write_json
from app.running import run
from app.serving import ConfigOption
from core.settings import PROJECT_ROOT, load_settings
from core.text import in_one_line

_MARKS = {"ok": "[green]ok[/green]", "later": "[yellow]later[/yellow]", "fails": "[red]fails[/red]"}


def doctor(
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read the model files and verify their hashes.")
    ] = False,
    config: ConfigOption = PROJECT_ROOT / "langgraph.json",
    as_json: JsonOption = False,
) -> None:
    """Check versions, disk, database, model, embeddings and store, and say what to do about each failure.

    Nothing is downloaded; what is fetched once it is needed is marked `later`. Exit code 4 if a check fails.
    """
    from app.checks import all_checks  # noqa: PLC0415 - commands import what they need when they run

    checks = run(all_checks(load_settings(), config, deep=deep))
    if as_json:
        write_json([asdict(check) for check in checks])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for check in checks:
            advice = ("\n", (in_one_line(check.advice), "bold")) if check.advice else ()
            told = Text.assemble(in_one_line(check.found), *advice)
            table.add_row(_MARKS[check.status], check.name, told)
        Console().print(table, highlight=False)
    if any(check.status == "fails" for check in checks):
        raise typer.Exit(MISCONFIGURED)
