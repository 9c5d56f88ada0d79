"""The commands of `boring`, and what becomes of their errors."""

import sys

import typer

from app.approvals import approvals
from app.asking import ask, chat, resume
from app.calls import calls
from app.console.command import console
from app.costs import costs
from app.doctor import doctor
from app.errors_shown import show_error
from app.exits import ANSWERED, EXPLAINED, FAILED, code_of
from app.feedback import feedback
from app.input_text import check_text
from app.json_output import write_json
from app.listing import index, threads
from app.logs import write_log
from app.mcp import mcp
from app.memory import memory
from app.pruning import prune
from app.rules import rules
from app.serving import serve
from app.stats import stats
from app.tools import tools
from app.traces import runs, trace, why
from core.errors import BoringError

app = typer.Typer(
    name="boring",
    help=f'AI agents that survive production.\n\nBegin with: boring ask "What is 17 * 23?"\n\n{EXPLAINED}',
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
asking, looking = (ask, chat, resume), (threads, runs, trace, why, stats, costs, calls, tools)
for command in (*asking, index, *looking, prune, doctor, console, serve):
    app.command()(command)
app.add_typer(mcp, name="mcp")
app.add_typer(approvals, name="approvals")
app.add_typer(rules, name="rules")
app.add_typer(feedback, name="feedback")
app.add_typer(memory, name="memory")


def run_command() -> int:
    """Run the command of the command line; every expected error becomes one message and an exit code."""
    write_log()
    try:
        for word in sys.argv[1:]:
            check_text(word)
        app()
    except BoringError as error:
        return _told(error)
    except BaseExceptionGroup as group:
        error = _first(group)
        if error is None:
            raise
        return _told(error)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    return ANSWERED


def _told(error: BoringError) -> int:
    code = code_of(error)
    if "--json" in sys.argv:
        write_json({"error": str(error), "exit_code": code})
    show_error(error)
    return code


def _first(group: BaseExceptionGroup[BaseException]) -> BoringError | None:
    """Return the first error of ours among those of concurrent tasks."""
    for error in group.exceptions:
        if isinstance(error, BoringError):
            return error
        if isinstance(error, BaseExceptionGroup) and (inner := _first(error)) is not None:
            return inner
    return None
