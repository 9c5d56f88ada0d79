"""The rules of a turn: what `receive` tells the model to follow, and the record of which step it was told."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.database import Database
from core.process import current_process
from core.state import AgentState, Note, Turn
from guardrails.preferences import stated_preference
from memory.rules import Rule, RuleRefusedError, Scope, applicable, is_trial
from memory.rules_changing import activate
from memory.rules_learning import learn_from_words
from nodes.receive import Noting
from nodes.threads import Node, namespace_of, thread_of
from observability.decisions import DecisionKind
from observability.noting import Once, note_decision

_ACTIVE: Final = "active for the tenant, the user and the agent"
_NO_ROOM: Final = "all rules together take more tokens than a turn may have"
_log = logging.getLogger(__name__)
_SAYS_SO = "said by the user for themselves, as BORING_RULES_EXPLICIT=auto allows"


def ruling(agent: str) -> Noting:
    """Return what finds the active rules for a turn, and proposes what the user says "from now on".

    Each agent of a request finds those that are for itself; only the agent that the user asked reads their
    words, for what is handed on is no longer in them. A database that can't be read fails the turn: an agent
    is never left to work without the rules that it has.

    Args:
        agent: the name of its graph.
    """

    async def find(turn: Turn, runtime: Runtime[RunContext]) -> Sequence[Note]:
        context, process = context_of(runtime), await current_process()
        if not context.tenant:
            return []
        database = await process.database()
        if not context.depth and context.user and not is_trial():
            at_once = process.settings.rules_explicit == "auto"
            await _propose_stated(database, turn, runtime, at_once=at_once)
        scope = Scope(context.tenant, context.user, agent)
        found = await applicable(database, scope, max_tokens=process.settings.rules_max_tokens)
        if found.left_out:
            _log.warning(
                "%d rules are left out, %d of them the operator's: BORING_RULES_MAX_TOKENS is %d.",
                len(found.left_out),
                sum(not rule.scope.user for rule in found.left_out),
                process.settings.rules_max_tokens,
            )
            _note("rule_left_out", _names(found.left_out), _NO_ROOM, step=1, runtime=runtime)
        return [Note(kind="rule", id=rule.name, text=_told(rule), trusted=True) for rule in found.rules]

    return find


def ruled(plan: Node) -> Node:
    """Return the node `plan`, made to record which rules each of its steps was told."""

    async def plan_by_rules(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        update = await plan(state, runtime)
        names = [note["id"] for note in state.get("notes") or [] if note["kind"] == "rule"]
        if names and "turn" in update:  # else no model was asked
            _note("rule_applied", names, _ACTIVE, step=state["turn"]["step"] + 1, runtime=runtime)
        return update

    return plan_by_rules


async def _propose_stated(
    database: Database, turn: Turn, runtime: Runtime[RunContext], *, at_once: bool
) -> None:
    stated, context = stated_preference(turn["question"]), context_of(runtime)
    if stated is None:
        return
    where = {"thread_id": thread_of(runtime), "run_id": turn["run_id"]}
    try:
        rule = await learn_from_words(
            database, stated.words, scope=Scope(context.tenant, context.user), **where
        )
        if at_once and stated.alone and rule.status == "proposed":
            await activate(database, context.tenant, rule.id, by=context.user, why=_SAYS_SO)
    except RuleRefusedError as error:
        _log.warning("What a user said is not taken as a rule: %s", error)


def _note(
    kind: DecisionKind, names: Sequence[str], reason: str, *, step: int, runtime: Runtime[RunContext]
) -> None:
    once = Once(namespace_of(runtime))
    note_decision(kind, "; ".join(names), step=step, reason=reason, candidates=names, once=once)


def _names(rules: Sequence[Rule]) -> list[str]:
    return [rule.name for rule in rules]


def _told(rule: Rule) -> str:
    """Return a rule as the model reads it: what a user said is their wish, and not the operator's word."""
    return f"The user wishes: {rule.text}" if rule.source == "explicit" else rule.text
