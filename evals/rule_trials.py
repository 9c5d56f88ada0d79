"""Trials of rules: the same cases with the active version and with the proposed one, in pairs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import comb
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from langchain_core.messages import HumanMessage

from core.context import RunContext
from core.database import Database
from core.errors import InputError
from core.process import current_process
from graphs.single import Agent
from memory.rules import Rule, RuleRefusedError, trying
from memory.rules_changing import Change, changing, make_active, move, of_key

MIN_CASES: Final = 10
"""With fewer cases nothing is tried."""
SURE: Final = 0.05
"""A version is better if chance alone gave as many wins with a lower probability than this."""
TRIAL_USER: Final = "rule-trial"
"""Who asks in the trial of a rule that is for every user."""
Activation = Literal["person", "eval"]


class Case(Protocol):
    """One question, and whether an answer to it is right; `evals.questions.Question` is one."""

    @property
    def question(self) -> str:
        """As a user would ask it."""
        ...

    def is_right(self, answer: str) -> bool:
        """Tell whether an answer is right."""
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of the same cases without and with a version.

    Attributes:
        won: cases that were right only with it.
        lost: cases that were right only without it.
        both: cases that were right with it and without it.
        neither: cases that were wrong with it and without it.
    """

    won: int
    lost: int
    both: int
    neither: int

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.won + self.lost + self.both + self.neither

    @property
    def p_value(self) -> float:
        """The probability of at least as many wins if the version made no difference, 0 to 1.

        Source: McNemar, "Note on the sampling error of the difference between correlated proportions or
        percentages", Psychometrika 12 (1947), in the exact form: a one-sided sign test of the pairs that
        differ.
        """
        differ = self.won + self.lost
        return sum(comb(differ, wins) for wins in range(self.won, differ + 1)) / 2**differ

    @property
    def is_better(self) -> bool:
        """Whether the version is better, and not by chance."""
        return self.won > self.lost and self.p_value < SURE


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that is over.

    Attributes:
        rule: the version as it stands now: active, or proposed again.
        result: of the cases.
    """

    rule: Rule
    result: Compared


async def try_rule(  # noqa: PLR0913 - each is a part of a trial, and all are named at the call
    rule_id: UUID,
    cases: Sequence[Case],
    *,
    agent: Agent,
    tenant: str,
    by: str,
    activation: Activation | None = None,
    again: bool = False,
) -> Trial:
    """Try a proposed version against what is active, record the result, and activate it if it is better.

    Each case is asked with and without the version, for its tenant and user. Tools are called for real. A
    trial that fails or is cancelled leaves the version proposed.

    Args:
        rule_id: the version.
        cases: at least `MIN_CASES`.
        agent: asked without a checkpointer; has to be the one that the version is for.
        tenant: of the version.
        by: who tries it.
        activation: whether a better one is activated; unset, what BORING_RULES_ACTIVATION says.
        again: also a version that is on trial, whose trial was cut off.

    Raises:
        InputError: there are too few cases, or the version is for another agent.
        RuleRefusedError: the version is not proposed, or another one of its key is on trial.
    """
    if len(cases) < MIN_CASES:
        raise InputError(f"There are {len(cases)} cases; a trial needs {MIN_CASES}.")
    process = await current_process()
    database = await process.database()
    rule = await _begun(database, tenant, rule_id, agent=str(agent.name), who=by, again=again)
    instead_of = await _active(database, rule)
    result = await _result(database, rule, cases, agent=agent, who=by)
    trial = {**_figures(result), "agent": agent.name, "against": instead_of and str(instead_of.id)}
    change = Change("proposed", ("on_trial",), by, _words(result), trial=trial)
    if result.is_better and (activation or process.settings.rules_activation) == "eval":
        return Trial(await _activated(database, rule, change, instead_of=instead_of), result)
    return Trial(await _moved(database, rule, change), result)


async def compared(rule: Rule, cases: Sequence[Case], *, agent: Agent) -> Compared:
    """Ask every case without and with a version, and count."""
    counts = {(True, False): 0, (False, True): 0, (True, True): 0, (False, False): 0}
    for number, case in enumerate(cases):
        order = (True, False) if number % 2 else (False, True)
        right = {told: await _is_right(case, rule, agent, told=told) for told in order}
        counts[right[True], right[False]] += 1
    return Compared(*counts.values())


async def _is_right(case: Case, rule: Rule, agent: Agent, *, told: bool) -> bool:
    context = RunContext(tenant=rule.scope.tenant, user=rule.scope.user or TRIAL_USER)
    alone = agent.copy(update={"checkpointer": None})
    asked: Any = {"messages": [HumanMessage(case.question, id=f"trial_{uuid.uuid4()}")]}
    with trying(rule if told else None):
        state = await alone.ainvoke(asked, context=context)
    answer = state["answer"]
    return answer["status"] == "answered" and case.is_right(answer["text"].split("\n\nSources:")[0])


async def _begun(  # noqa: PLR0913 - all are named at the call
    database: Database, tenant: str, rule_id: UUID, *, agent: str, who: str, again: bool
) -> Rule:
    async with changing(database, tenant, rule_id) as (connection, rule):
        if rule.scope.agent not in {"", agent}:
            raise InputError(
                f"The rule is for the agent {rule.scope.agent!r}, and would be tried with {agent!r}. Name "
                "its agent by --graph."
            )
        other = await of_key(connection, rule.scope, rule.key, "on_trial")
        if other is not None and other.id != rule.id:
            raise RuleRefusedError(
                f"Version {other.version} of {rule.key!r} is on trial. Wait for its end, or take it back: "
                f"boring rules reject {other.id}"
            )
        if again and rule.status == "on_trial":
            return rule
        return await move(connection, rule, Change("on_trial", ("proposed",), who, "a trial has begun"))


async def _active(database: Database, rule: Rule) -> Rule | None:
    async with changing(database, rule.scope.tenant, rule.id) as (connection, _):
        return await of_key(connection, rule.scope, rule.key, "active")


async def _moved(database: Database, rule: Rule, change: Change) -> Rule:
    async with changing(database, rule.scope.tenant, rule.id) as (connection, now):
        return await move(connection, now, change)


async def _result(
    database: Database, rule: Rule, cases: Sequence[Case], *, agent: Agent, who: str
) -> Compared:
    try:
        return await compared(rule, cases, agent=agent)
    except BaseException as error:
        await asyncio.shield(_cut_off(database, rule, who, error))
        raise


async def _cut_off(database: Database, rule: Rule, by: str, error: BaseException) -> None:
    """Let a version wait again whose trial came to nothing, unless somebody has decided of it meanwhile."""
    with suppress(RuleRefusedError):
        why = f"the trial was cut off: {type(error).__name__}"
        await _moved(database, rule, Change("proposed", ("on_trial",), by, why))


async def _activated(database: Database, rule: Rule, change: Change, *, instead_of: Rule | None) -> Rule:
    """Activate what was better. Where that can't be, it waits for a person, with the reason on record."""
    try:
        async with changing(database, rule.scope.tenant, rule.id) as (connection, now):
            active = await of_key(connection, rule.scope, rule.key, "active")
            if (active and active.id) != (instead_of and instead_of.id):
                raise RuleRefusedError("another version than the one it beat has become active meanwhile")  # noqa: TRY301 - undoes the transaction
            return await make_active(connection, now, replace(change, to="active"))
    except RuleRefusedError as error:
        return await _moved(database, rule, replace(change, why=f"{change.why}; not activated: {error}"))


def _figures(result: Compared) -> dict[str, Any]:
    return {
        **asdict(result),
        "cases": result.cases,
        "p_value": result.p_value,
        "better": result.is_better,
    }


def _words(result: Compared) -> str:
    better = "better" if result.is_better else "not better"
    return f"{better}: of {result.cases} cases {result.won} won, {result.lost} lost, p = {result.p_value:.3g}"
