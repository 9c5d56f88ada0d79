"""The commands about requests for approval: list, show, decide, verify the record, treat what is overdue."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from app.asking import GraphOption, JsonOption
from app.exits import ANSWERED, FAILED
from app.json_output import write_json
from app.questions import account_name
from app.running import run
from core.errors import InputError
from core.text import in_one_line, storable_text

approvals = typer.Typer(help="Lists requests for approval, and takes decisions of them.")

IdArgument = Annotated[str, typer.Argument(help="The request, by the beginning of its id.", metavar="ID")]
ByOption = Annotated[
    str | None, typer.Option(help="Who decides. Unless said: the account you are logged in with.")
]
HashOption = Annotated[
    str | None,
    typer.Option(
        "--hash", help="The hash of the arguments that you were shown, or its beginning: others are refused."
    ),
]
ResumeOption = Annotated[bool, typer.Option("--resume/--no-resume", help="Go on with a run that can.")]


@approvals.callback(invoke_without_command=True)
def list_requests(
    context: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are settled.")] = False,
    thread: Annotated[str | None, typer.Option("--thread", "-t", help="Only those of this thread.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most requests to list.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the requests that wait, of all threads; or take a decision, by one of the commands below."""
    if context.invoked_subcommand is not None:
        return
    from app.inbox import listed  # noqa: PLC0415 - loaded when it runs
    from app.inbox_shown import print_list, request_as_json  # noqa: PLC0415 - as above

    rows = run(listed(settled=everything, thread=thread, limit=limit))
    if as_json:
        write_json([request_as_json(row) for row in rows])
    else:
        print_list(rows, Console())


@approvals.command()
def show(approval_id: IdArgument, *, as_json: JsonOption = False) -> None:
    """Show one request: the exact arguments, who has to agree, and what has happened to it."""
    from app.inbox import whole  # noqa: PLC0415 - loaded when it runs
    from app.inbox_shown import print_request, request_as_json  # noqa: PLC0415 - as above

    row, history = run(whole(approval_id))
    if as_json:
        told = request_as_json(row, history)
        write_json(told)
    else:
        print_request(row, history, Console(soft_wrap=True))


@approvals.command()
def approve(  # noqa: PLR0913 - each is an option of the command line
    approval_id: IdArgument,
    *,
    by: ByOption = None,
    shown_hash: HashOption = None,
    graph: GraphOption = None,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
) -> None:
    """Agree to a request, with the arguments that it has now."""
    _decide({"type": "approve"}, approval_id, by, shown_hash, graph=graph, resume=resume, as_json=as_json)


@approvals.command()
def reject(  # noqa: PLR0913 - each is an option of the command line
    approval_id: IdArgument,
    *,
    words: Annotated[str, typer.Option("--with", help="Why; the model reads it.")] = "",
    by: ByOption = None,
    shown_hash: HashOption = None,
    graph: GraphOption = None,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
) -> None:
    """Reject a request. The call is not made, whoever has agreed before."""
    said = {"type": "reject", "message": words}
    _decide(said, approval_id, by, shown_hash, graph=graph, resume=resume, as_json=as_json)


@approvals.command()
def respond(  # noqa: PLR0913 - each is an option of the command line
    approval_id: IdArgument,
    *,
    words: Annotated[str, typer.Option("--with", help="What the model gets as the tool's result.")],
    by: ByOption = None,
    shown_hash: HashOption = None,
    graph: GraphOption = None,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
) -> None:
    """Answer in the tool's stead. The tool is not run."""
    said = {"type": "respond", "message": words}
    _decide(said, approval_id, by, shown_hash, graph=graph, resume=resume, as_json=as_json)


@approvals.command()
def edit(  # noqa: PLR0913 - each is an option of the command line
    approval_id: IdArgument,
    *,
    arguments: Annotated[str, typer.Option("--args", help="All arguments of the call, as JSON.")],
    by: ByOption = None,
    shown_hash: HashOption = None,
    graph: GraphOption = None,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
) -> None:
    """Change the arguments of a call. The levels before yours have to agree to the new ones."""
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise InputError(
            f"--args is no JSON: {error}. Give an object, such as '{{\"amount\": 5}}'."
        ) from error
    except RecursionError as error:
        raise InputError("--args is JSON that is nested too deep. Give less.") from error
    if not isinstance(given, dict):
        raise InputError(f"--args is {arguments}; expected a JSON object, such as '{{\"amount\": 5}}'.")
    said = {"type": "edit", "args": given}
    _decide(said, approval_id, by, shown_hash, graph=graph, resume=resume, as_json=as_json)


@approvals.command()
def verify(
    *,
    seen: Annotated[
        str | None, typer.Option(help="A head that `verify` told before; it has to be in the record still.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look whether the audit record is whole, and every request is what the record says.

    Keep the head somewhere else: who has it can tell later that no row up to it was changed or taken away.
    """
    from app.inbox import verified  # noqa: PLC0415 - loaded when it runs

    found = run(verified(seen))
    if as_json:
        told = {"whole": found.is_whole, "rows": found.rows, "redacted": found.redacted, "head": found.head}
        told |= {"broken_at": found.broken_at, "why": found.why, "requests": dict(found.requests)}
        write_json(told)
    elif found.why:
        typer.echo(in_one_line(f"The audit record is broken at row {found.broken_at}: {found.why}."))
    else:
        redacted = f" ({found.redacted} redacted)" if found.redacted else ""
        typer.echo(f"The audit record is whole: {found.rows} rows{redacted}, head {found.head}")
    for subject, why in {} if as_json else found.requests.items():
        typer.echo(in_one_line(f"The request {subject} was tampered with: {why}."))
    raise typer.Exit(ANSWERED if found.is_whole else FAILED)


@approvals.command()
def sweep(*, resume: ResumeOption = True, as_json: JsonOption = False) -> None:
    """Treat what is overdue: deny, escalate, or approve where the policy says so; go on with the runs.

    Any number of processes may do so, as often as they like.
    """
    from app.inbox import swept  # noqa: PLC0415 - loaded when it runs

    raise typer.Exit(run(swept(resume=resume, as_json=as_json)))


def _decide(  # noqa: PLR0913 - the options that all decisions share
    said: dict[str, Any],
    approval_id: str,
    by: str | None,
    shown_hash: str | None,
    *,
    graph: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    from app.inbox import Pressed, pressed  # noqa: PLC0415 - loaded when it runs

    if shown_hash is not None and not shown_hash.strip():
        raise InputError("--hash is empty; give the hash that you were shown, or its beginning.")
    what = Pressed(approval_id, said, storable_text(by or account_name()), shown_hash)
    raise typer.Exit(run(pressed(what, graph=graph, resume=resume, as_json=as_json)))
