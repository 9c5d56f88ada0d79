"""The commands about feedback on runs: give, list, show, export, signals."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from app.asking import JsonOption
from app.questions import account_name
from app.running import run
from app.since import SinceOption
from core.context import RunContext
from core.errors import InputError

if TYPE_CHECKING:
    from observability.feedback import WantedFeedback

_HERE = RunContext().tenant


class _GivingByDefault(TyperGroup):
    """`boring feedback RUN` is `boring feedback give RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in front of what is none."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["give", *args]
        return super().parse_args(ctx, args)


feedback = typer.Typer(
    cls=_GivingByDefault,
    help="Takes what you say of runs, and shows what was said: `boring feedback RUN --up`.",
)


class From(StrEnum):
    """Who says something, see `observability.feedback.Source`."""

    USER = "user"
    OPERATOR = "operator"
    PEER = "peer"
    SIGNAL = "signal"


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")]
TenantOption = Annotated[str, typer.Option(help="Whose runs.")]
AgentOption = Annotated[str | None, typer.Option(help="Only runs of this agent.")]
UserOption = Annotated[str | None, typer.Option(help="Only runs of this user.")]
KeyOption = Annotated[str | None, typer.Option(help="Only what is said under this key.")]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="Most to list.")]


@feedback.callback(invoke_without_command=True)
def overview(context: typer.Context, *, tenant: TenantOption = _HERE, as_json: JsonOption = False) -> None:
    """List what was said of runs, the newest first; or do one of the commands below."""
    if context.invoked_subcommand is None:
        _list(tenant, limit=50, as_json=as_json)


@feedback.command()
def give(  # noqa: PLR0913 - each is an option of the command line
    run_id: RunArgument,
    *,
    up: Annotated[bool, typer.Option("--up", help="Thumbs up: the score 1.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Thumbs down: the score 0.")] = False,
    score: Annotated[float | None, typer.Option(help="From 0, wholly wrong, to 1.")] = None,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    correction: Annotated[str | None, typer.Option(help="What would have been right.")] = None,
    key: Annotated[str | None, typer.Option(help="What is judged.", show_default="user_score")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Who says so. Unless said: you, by the name the run knows or your account."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what you think of a run. A second time under the same key takes the place of the first."""
    if up + down + (score is not None) > 1:
        raise InputError("--up, --down and --score all give the score. Give one of them.")
    given = 1.0 if up else 0.0 if down else score
    from app.feedback_shown import given as give_it  # noqa: PLC0415 - loaded when it runs

    said: dict[str, Any] = {"score": given, "comment": comment, "correction": correction}
    run(
        give_it(
            run_id, {**said, **({"key": key} if key else {})}, by=by, account=account_name(), as_json=as_json
        )
    )


@feedback.command("list")
def list_feedback(  # noqa: PLR0913 - each is an option of the command line
    *,
    tenant: TenantOption = _HERE,
    agent: AgentOption = None,
    user: UserOption = None,
    key: KeyOption = None,
    source: Annotated[From | None, typer.Option(help="Only what these say.")] = None,
    most: Annotated[float | None, typer.Option(min=0, max=1, help="Only scores up to this one.")] = None,
    since: SinceOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List what was said of runs, the newest first."""
    wanted = {"agent": agent, "user": user, "key": key, "most": most, "since": since}
    _list(tenant, limit=limit, as_json=as_json, source=source.value if source else None, **wanted)


@feedback.command()
def show(run_id: RunArgument, *, as_json: JsonOption = False) -> None:
    """Show what was said of one run, and what it was asked."""
    from app.feedback_shown import shown  # noqa: PLC0415 - loaded when it runs

    run(shown(run_id, as_json=as_json))


@feedback.command()
def export(  # noqa: PLR0913 - each is an option of the command line
    *,
    tenant: TenantOption = _HERE,
    agent: AgentOption = None,
    key: KeyOption = None,
    most: Annotated[float | None, typer.Option(min=0, max=1, help="Only scores up to this one.")] = None,
    since: SinceOption = None,
    limit: LimitOption = 1000,
    cases: Annotated[
        Path | None,
        typer.Option(
            help="Write those corrected by no peer to this file, as evals/questions.json has cases."
        ),
    ] = None,
) -> None:
    """Write runs that people have rated as JSON: question, answer, score, comment and correction."""
    from app.feedback_cases import exported  # noqa: PLC0415 - loaded when it runs

    wanted = _wanted(agent=agent, key=key, most=most, since=since)
    run(exported(tenant, wanted, limit=limit, cases=cases))


@feedback.command()
def signals(
    *,
    since: SinceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for runs whose user asked again in other words, or left them waiting; a server does by itself."""
    from app.feedback_shown import looked_for  # noqa: PLC0415 - loaded when it runs

    span: timedelta | None = since
    run(looked_for(span, as_json=as_json))


def _list(tenant: str, *, limit: int, as_json: bool, **wanted: Any) -> None:
    from app.feedback_shown import listed  # noqa: PLC0415 - loaded when it runs

    run(listed(tenant, _wanted(**wanted), limit=limit, as_json=as_json))


def _wanted(**wanted: Any) -> "WantedFeedback":
    from observability.feedback import WantedFeedback  # noqa: PLC0415 - loaded when it runs

    return WantedFeedback(**wanted)
