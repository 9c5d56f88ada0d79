"""What the commands about rules do and show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.calls import one_line
from app.json_output import write_json
from app.rating import rate
from app.record import print_record
from core.errors import InputError
from core.process import opened_process
from core.text import in_one_line
from memory.rules import Rule, RuleRefusedError, Scope
from memory.rules_changing import activate, reject, retire, roll_back
from memory.rules_learning import learn_from_edits, learn_from_repairs
from memory.rules_listing import RuleEvent, RuleEvidence, Wanted, rule_history, rule_named, rules
from memory.rules_proposing import NewRule, propose
from observability.feedback import NewFeedback, owner_of_run

_SHOWN_CHARS = 60
_CHANGES = {"activate": activate, "reject": reject, "retire": retire}


async def listed(tenant: str, wanted: Wanted, *, limit: int, as_json: bool) -> None:
    """List versions."""
    async with opened_process() as process:
        found = await rules(await process.database(), tenant, wanted, limit=limit)
    _tell(found, as_json=as_json)


async def shown(tenant: str, rule_id: str, *, as_json: bool) -> None:
    """Show one version whole."""
    async with opened_process() as process:
        database = await process.database()
        rule = await rule_named(database, tenant, rule_id)
        events, evidence = await rule_history(database, rule)
    if as_json:
        history = {"events": list(map(asdict, events)), "evidence": list(map(asdict, evidence))}
        write_json({**asdict(rule), **history})
    else:
        _show(rule, events, evidence)


async def proposed(scope: Scope, key: str, text: str, *, by: str, as_json: bool) -> None:
    """Propose a rule."""
    async with opened_process() as process:
        rule = await propose(await process.database(), NewRule(scope, key, text, "person", by))
    _told(rule, f"boring rules activate {str(rule.id)[:8]}", as_json=as_json)


async def decided(  # noqa: PLR0913 - the options of the commands
    name: str, tenant: str, rule_id: str, *, by: str, why: str, as_json: bool
) -> None:
    """Take a decision of a version."""
    async with opened_process() as process:
        database = await process.database()
        rule = await rule_named(database, tenant, rule_id)
        rule = await _CHANGES[name](database, tenant, rule.id, by=by, why=why)
    _told(rule, as_json=as_json)


async def rolled_back(scope: Scope, key: str, *, by: str, why: str, as_json: bool) -> None:
    """Go back to the version before."""
    async with opened_process() as process:
        gone, back = await roll_back(await process.database(), scope, key, by=by, why=why)
    if as_json:
        write_json({"retired": asdict(gone), "active": None if back is None else asdict(back)})
        return
    now = f"version {back.version} is active again" if back else "no version of it is active now"
    _say(f"Version {gone.version} of {gone.key} is retired; {now}.")


async def tried(
    tenant: str, rule_id: str, cases: Path, *, graph: str | None, as_json: bool, **options: Any
) -> None:
    """Try a version on cases.

    Raises:
        InputError: the file holds no cases, or the version can't be tried.
    """
    from app.graphs import graph_called, opened_graph  # noqa: PLC0415 - loads the agent's libraries
    from evals.questions import load_questions  # noqa: PLC0415 - as above
    from evals.rule_trials import try_rule  # noqa: PLC0415 - as above

    try:
        asked = await asyncio.to_thread(load_questions, cases)
    except (OSError, ValueError, ValidationError) as error:
        raise InputError(f"--cases {cases} can't be read as a JSON list of questions: {error}") from error
    async with opened_process() as process:
        rule = await rule_named(await process.database(), tenant, rule_id)
        agent = await opened_graph(await asyncio.to_thread(graph_called, graph))
        trial = await try_rule(rule.id, asked, agent=agent, tenant=tenant, **options)
    _told(trial.rule, trial.rule.why or "", as_json=as_json)


async def learnt_from_feedback(run_id: str, comment: str, *, by: str, as_json: bool) -> None:
    """Propose a rule from a comment on a run, which is a thumbs down.

    Raises:
        InputError: there is no such run, or nothing is said.
        RuleRefusedError: too many proposals wait already; the comment is kept.
    """
    if not comment.strip():
        raise RuleRefusedError("The comment is empty. Say what was wrong, or what is to be done instead.")
    async with opened_process() as process:
        tenant, _ = await owner_of_run(await process.database(), run_id)
        new = NewFeedback(run_id, by, score=0.0, comment=comment, is_operator=True)
        rated = await rate(tenant, new)
    if rated.rule is None:
        raise RuleRefusedError(rated.refused)
    _told(
        rated.rule,
        f"boring rules show {str(rated.rule.id)[:8]} --tenant {rated.rule.scope.tenant}",
        as_json=as_json,
    )


async def learnt(tenant: str, *, times: int, since: timedelta | None, as_json: bool) -> None:
    """Propose rules from edits and repairs."""
    async with opened_process() as process:
        database = await process.database()
        found = await learn_from_edits(database, tenant=tenant, since=since)
        found += await learn_from_repairs(database, tenant, least_runs=times, since=since)
    _tell(found, as_json=as_json)


def _tell(found: Sequence[Rule], *, as_json: bool) -> None:
    """List versions, a line each; in a pipe with tabs between the cells."""
    console = Console()
    if as_json:
        write_json([asdict(rule) for rule in found])
    elif not found:
        console.print("No such rules.")
    elif not console.is_terminal:
        for cells in (_NAMES, *map(_cells, found)):
            typer.echo("\t".join(one_line(cell) for cell in cells))
    else:
        table = Table(*_NAMES, box=None, pad_edge=False)
        for rule in found:
            table.add_row(*(Text(one_line(_shortened(cell))) for cell in _cells(rule)))
        console.print(table)


_NAMES = ("rule", "status", "key", "version", "for", "times", "text")


def _cells(rule: Rule) -> tuple[str, ...]:
    numbers = (str(rule.version), _for_whom(rule), str(rule.times))
    return (str(rule.id)[:8], _status(rule), rule.key, *numbers, rule.text)


def _for_whom(rule: Rule) -> str:
    return f"{rule.scope.user or 'everybody'} at {rule.scope.agent or 'every agent'}"


def _status(rule: Rule) -> str:
    return rule.status.replace("_", " ")


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _SHOWN_CHARS else f"{cell[: _SHOWN_CHARS - 1]}…"


def _show(rule: Rule, events: Sequence[RuleEvent], evidence: Sequence[RuleEvidence]) -> None:
    console = Console(soft_wrap=True)
    told = {
        "rule": str(rule.id),
        "key": f"{rule.key}, version {rule.version}",
        "status": _status(rule),
        "for": f"{_for_whom(rule)}, tenant {rule.scope.tenant}",
        "text": rule.text,
        "source": f"{rule.source}, by {rule.proposed_by}",
        "replaced": str(rule.replaced) if rule.replaced else None,
        "trial": json.dumps(rule.trial, ensure_ascii=False) if rule.trial else None,
    }
    print_record(told, console)
    for one in evidence:
        places = {
            "run": one.run_id,
            "thread": one.thread_id,
            "approval": one.approval_id,
            "call": one.call_id,
        }
        where = ", ".join(f"{name} {value}" for name, value in places.items() if value)
        quote = f": {one.quote}" if one.quote else ""
        _dim(console, f"from {one.said_by or one.user or 'nobody'} in {where or 'no run'}{quote}")
    for event in events:
        why = f" ({event.why})" if event.why else ""
        status = event.to_status.replace("_", " ")
        _dim(console, f"{event.at.astimezone():%Y-%m-%d %H:%M:%S} {status} by {event.who}{why}")


def _dim(console: Console, text: str) -> None:
    console.print(Text(one_line(text), "dim"), highlight=False)


def _told(rule: Rule, then: str = "", *, as_json: bool) -> None:
    if as_json:
        write_json(asdict(rule))
        return
    _say(f"{str(rule.id)[:8]} is {_status(rule)}: version {rule.version} of {rule.key}, {_for_whom(rule)}.")
    if then:
        _say(f"  {then}")


def _say(text: str) -> None:
    Console(soft_wrap=True).print(Text(in_one_line(text)), highlight=False)
