"""The commands about rules: list, show, propose, decide, try, roll back, learn."""

from collections.abc import Coroutine
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.asking import GraphOption, JsonOption
from app.questions import account_name
from app.running import run
from app.since import SinceOption
from core.context import RunContext
from core.text import storable_text

rules = typer.Typer(help="Lists the rules that agents follow or could follow, and takes decisions of them.")


class InStatus(StrEnum):
    """What a version of a rule can be, see `memory.rules.Status`."""

    PROPOSED = "proposed"
    ON_TRIAL = "on_trial"
    ACTIVE = "active"
    RETIRED = "retired"


class Policy(StrEnum):
    """What makes a better version active."""

    PERSON = "person"
    EVAL = "eval"


IdArgument = Annotated[str, typer.Argument(help="The version, by the beginning of its id.", metavar="ID")]
TenantOption = Annotated[str, typer.Option(help="Whose rules.")]
UserOption = Annotated[str, typer.Option(help="The user that it is for; unless said, every user.")]
AgentOption = Annotated[str, typer.Option(help="The agent that it is for; unless said, every agent.")]
WhyOption = Annotated[str, typer.Option(help="Why; it is kept with the decision.")]
ByOption = Annotated[
    str | None, typer.Option(help="Who does so. Unless said: the account you are logged in with.")
]
_HERE = RunContext().tenant


@rules.callback(invoke_without_command=True)
def list_rules(  # noqa: PLR0913 - each is an option of the command line
    context: typer.Context,
    *,
    status: Annotated[InStatus | None, typer.Option(help="Only versions in this status.")] = None,
    tenant: TenantOption = _HERE,
    user: Annotated[str | None, typer.Option(help="Only rules for this user; '' for every user.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only rules for this agent; '' for every agent.")] = None,
    key: Annotated[str | None, typer.Option(help="Only versions of this key.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most versions to list.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the versions of rules, those that wait for a decision first; or do one of the commands below."""
    if context.invoked_subcommand is not None:
        return
    from app.rulebook import listed  # noqa: PLC0415 - loaded when it runs
    from memory.rules_listing import Wanted  # noqa: PLC0415 - as above

    wanted = Wanted(user=user, agent=agent, key=key, status=status.value if status else None)
    run(listed(tenant, wanted, limit=limit, as_json=as_json))


@rules.command()
def show(rule_id: IdArgument, *, tenant: TenantOption = _HERE, as_json: JsonOption = False) -> None:
    """Show one version: its text, what led to it, what happened to it, and its last trial."""
    from app.rulebook import shown  # noqa: PLC0415 - loaded when it runs

    run(shown(tenant, rule_id, as_json=as_json))


@rules.command()
def propose(  # noqa: PLR0913 - each is an option of the command line
    key: Annotated[str, typer.Argument(help="What the rule is about; versions of a key replace each other.")],
    text: Annotated[str, typer.Argument(help="What the model is told.")],
    *,
    tenant: TenantOption = _HERE,
    user: UserOption = "",
    agent: AgentOption = "",
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a rule. It is followed once somebody activates it."""
    from app.rulebook import proposed  # noqa: PLC0415 - loaded when it runs

    run(proposed(_scope(tenant, user, agent), key, text, by=_who(by), as_json=as_json))


@rules.command()
def activate(
    rule_id: IdArgument,
    *,
    tenant: TenantOption = _HERE,
    why: WhyOption = "",
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a proposed version active; the one that was active of its key is retired."""
    _decide("activate", tenant, rule_id, why, by, as_json=as_json)


@rules.command()
def reject(
    rule_id: IdArgument,
    *,
    tenant: TenantOption = _HERE,
    why: WhyOption = "",
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject a version that is proposed or on trial."""
    _decide("reject", tenant, rule_id, why, by, as_json=as_json)


@rules.command()
def retire(
    rule_id: IdArgument,
    *,
    tenant: TenantOption = _HERE,
    why: WhyOption = "",
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retire the active version, with nothing in its place."""
    _decide("retire", tenant, rule_id, why, by, as_json=as_json)


@rules.command()
def rollback(  # noqa: PLR0913 - each is an option of the command line
    key: Annotated[str, typer.Argument(help="The key of the rule.")],
    *,
    tenant: TenantOption = _HERE,
    user: UserOption = "",
    agent: AgentOption = "",
    why: WhyOption = "",
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the version active again that was active before; where there was none, none is."""
    from app.rulebook import rolled_back  # noqa: PLC0415 - loaded when it runs

    run(rolled_back(_scope(tenant, user, agent), key, by=_who(by), why=why, as_json=as_json))


@rules.command()
def trial(  # noqa: PLR0913 - each is an option of the command line
    rule_id: IdArgument,
    *,
    cases: Annotated[
        Path, typer.Option(help="A JSON list of questions with facts, as evals/questions.json.")
    ],
    graph: GraphOption = None,
    tenant: TenantOption = _HERE,
    activation: Annotated[
        Policy | None, typer.Option(help="Whether a better version is activated; unset, as the settings say.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also one whose trial was cut off.")] = False,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the same questions without and with a proposed version, and compare. Tools are called for real."""
    from app.rulebook import tried  # noqa: PLC0415 - loaded when it runs

    policy = activation.value if activation else None
    options: dict[str, Any] = {"by": _who(by), "activation": policy, "again": again}
    run(tried(tenant, rule_id, cases, graph=graph, as_json=as_json, **options))


@rules.command()
def feedback(
    run_id: Annotated[str, typer.Argument(help="The run.", metavar="RUN")],
    *,
    comment: Annotated[str, typer.Option(help="What was wrong, or what is to be done instead.")],
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a rule from what was wrong with a run."""
    from app.rulebook import learnt_from_feedback  # noqa: PLC0415 - loaded when it runs

    run(learnt_from_feedback(run_id, comment, by=_who(by), as_json=as_json))


@rules.command()
def learn(
    *,
    tenant: TenantOption = _HERE,
    times: Annotated[int, typer.Option(min=1, help="In how many runs a repair has to be seen.")] = 3,
    since: SinceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for calls that were repaired again and again, and edits of approvals, and propose rules."""
    from app.rulebook import learnt  # noqa: PLC0415 - loaded when it runs

    span: timedelta | None = since
    run(learnt(tenant, times=times, since=span, as_json=as_json))


def _decide(  # noqa: PLR0913 - the options that all decisions share
    name: str, tenant: str, rule_id: str, why: str, by: str | None, *, as_json: bool
) -> None:
    from app.rulebook import decided  # noqa: PLC0415 - loaded when it runs

    work: Coroutine[Any, Any, None] = decided(name, tenant, rule_id, by=_who(by), why=why, as_json=as_json)
    run(work)


def _scope(tenant: str, user: str, agent: str) -> Any:
    from memory.rules import Scope  # noqa: PLC0415 - loaded when it runs

    return Scope(*map(storable_text, (tenant, user, agent)))


def _who(by: str | None) -> str:
    return storable_text(by or account_name())
