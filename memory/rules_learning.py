"""What proposes rules: words of people, arguments that they changed, calls that were repaired.

No document or tool result does. All that is learnt waits for a decision. The text of a proposal holds words
of a person, names that a tool's contract gives, and values that a person put in place of others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, LiteralString

from core.database import Database
from core.errors import InputError
from core.process import current_process
from core.text import storable_text
from memory.rules import MAX_KEY_CHARS, MAX_TEXT_CHARS, Rule, Scope
from memory.rules_proposing import Evidence, NewRule, propose
from memory.rules_topics import slug, topic_of

REPAIRS: Final = 3
"""In how many runs the same repair of a call has to be seen before a rule is proposed."""
_MAX_VALUE_CHARS: Final = 60
_MAX_MISTAKE_CHARS: Final = 160
_RUN = """
select thread_id, graph, coalesce(context ->> 'tenant', '') as tenant,
    coalesce(context ->> 'user', '') as user
from boring.run where run_id = %s
"""
_EDITS: LiteralString = """
select audit.number, audit.subject, audit.thread_id, audit.run_id, audit.tool, audit.who,
    audit.before -> 'arguments' as old, audit.after -> 'edit' -> 'arguments' as new,
    approval.tenant, approval.requester, approval.call_id
from boring.audit join boring.approval on approval.id::text = audit.subject
where audit.event = 'edit' and (%(subject)s::text is null or audit.subject = %(subject)s)
    and (%(tenant)s::text is null or approval.tenant = %(tenant)s)
    and (%(since)s::interval is null or audit.at > now() - %(since)s::interval)
order by audit.number
"""
_REPAIRED: LiteralString = """
select wrong.tool, wrong.error, wrong.thread_id, wrong.run_id, wrong.call_id, run.context ->> 'user' as user
from boring.tool_call wrong join boring.run using (run_id)
where wrong.outcome = 'invalid' and run.context ->> 'tenant' = %(tenant)s
    and (%(since)s::interval is null or wrong.started_at > now() - %(since)s::interval)
    and exists (
        select from boring.tool_call repaired
        where repaired.run_id = wrong.run_id and repaired.tool = wrong.tool and repaired.outcome = 'ok'
            and repaired.started_at >= wrong.started_at)
order by wrong.started_at
"""
_MISTAKE = re.compile(r"^- ([A-Za-z_][A-Za-z0-9_.]{0,59}): ([^\n]*?)(?: \(given: .*)?$", re.MULTILINE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_BY_TOOL = re.compile(r"^(?:Value error|Assertion failed), .*")
"""What a tool's own check says: nobody knows whether it repeats what it was given."""


async def learn_from_words(
    database: Database, words: str, *, scope: Scope, thread_id: str, run_id: str
) -> Rule:
    """Propose what a user said of how things are to be done from now on, for nobody but them.

    Once it is active, it takes the place of what they said earlier about the same topic.

    Args:
        database: holds the rules.
        words: the user's own, see `guardrails.preferences.stated_preference`.
        scope: the tenant and the user.
        thread_id: where it was said.
        run_id: in which run.

    Raises:
        RuleRefusedError: too many proposals of the user wait already.
    """
    evidence = Evidence(
        name=f"run:{run_id}",
        user=scope.user,
        said_by=scope.user,
        thread_id=thread_id or None,
        run_id=run_id,
        quote=words,
    )
    key = f"said.{topic_of(words)}"
    return await propose(database, NewRule(scope, key, words, "explicit", scope.user, [evidence]))


async def learn_from_feedback(
    run_id: str, comment: str, by: str, *, text: str | None = None, scope: Scope | None = None
) -> Rule:
    """Propose a rule from what a person says who did not like what a run came to.

    The run's answer, and what its tools and documents said, have no part in it.

    Args:
        run_id: the run.
        comment: what was wrong, or what is to be done instead; it is kept as what led to the rule.
        by: who says so.
        text: the rule in other words than the comment.
        scope: for whom the rule is; unset, for every user of the run's tenant at the agent that was asked.

    Raises:
        InputError: there is no such run.
        RuleRefusedError: the comment is empty, or too many proposals wait already.
    """
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        run = await (await connection.execute(_RUN, (storable_text(run_id),))).fetchone()
    if run is None or not run["tenant"]:
        raise InputError(f"There is no run {run_id!r} of a tenant. `boring threads --json` lists runs.")
    scope = scope or Scope(run["tenant"], agent=run["graph"])
    evidence = Evidence(
        name=f"feedback:{run_id}:{by}",
        user=run["user"],
        said_by=by,
        thread_id=run["thread_id"],
        run_id=run_id,
        quote=comment,
    )
    words = _shortened(" ".join((text or comment).split()), MAX_TEXT_CHARS)
    key = f"feedback.{slug(words)}"
    return await propose(database, NewRule(scope, key, words, "feedback", by, [evidence]))


async def learn_from_edits(
    database: Database,
    *,
    approval_id: str | None = None,
    tenant: str | None = None,
    since: timedelta | None = None,
) -> list[Rule]:
    """Propose rules from arguments that people changed before they agreed to a call.

    Equal changes are one proposal, and each of them evidence for it. Seen twice, a change counts once.

    Args:
        database: holds the audit record of approvals, in which changes stand.
        approval_id: only of this request.
        tenant: only of this tenant.
        since: how far back.
    """
    values = {"subject": approval_id, "tenant": tenant, "since": since}
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_EDITS, values)).fetchall()
    proposed: dict[Any, Rule] = {}
    for row in rows:
        if not row["tenant"]:
            continue
        for argument, text in _differences(row["tool"], row["old"], row["new"]):
            evidence = Evidence(
                name=f"edit:{row['number']}",
                user=row["requester"],
                said_by=row["who"],
                thread_id=row["thread_id"],
                run_id=row["run_id"],
                call_id=row["call_id"],
                approval_id=row["subject"],
            )
            key = f"edit.{row['tool']}.{argument}"[:MAX_KEY_CHARS]
            new = NewRule(Scope(row["tenant"]), key, text, "approval_edit", row["who"], [evidence])
            rule = await propose(database, new)
            proposed[rule.id] = rule
    return list(proposed.values())


async def learn_from_repairs(
    database: Database, tenant: str, *, least_runs: int = REPAIRS, since: timedelta | None = None
) -> list[Rule]:
    """Propose rules from calls that were invalid in the same way and then repaired, run after run.

    Args:
        database: holds the log of tool calls.
        tenant: whose runs.
        least_runs: in how many runs it has to be seen, 1 or more.
        since: how far back.
    """
    async with database.pool.connection() as connection:
        found = await connection.execute(_REPAIRED, {"tenant": tenant, "since": since})
        rows = await found.fetchall()
    seen: dict[tuple[str, str, str], dict[str, Evidence]] = {}
    for row in rows:
        for argument, mistake in _mistakes(row["error"] or ""):
            evidence = Evidence(
                name=f"repair:{row['run_id']}",
                user=row["user"] or "",
                thread_id=row["thread_id"],
                run_id=row["run_id"],
                call_id=row["call_id"],
            )
            seen.setdefault((row["tool"], argument, mistake), {})[row["run_id"]] = evidence
    return [
        await propose(
            database,
            NewRule(
                Scope(tenant),
                f"repair.{tool}.{argument}"[:MAX_KEY_CHARS],
                f"Call {tool} with a valid {argument}: {mistake}.",
                "repeated_repair",
                "repairs",
                list(runs.values()),
            ),
        )
        for (tool, argument, mistake), runs in seen.items()
        if len(runs) >= least_runs
    ]


def _differences(tool: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the arguments that were changed, each with a rule that tells how."""
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after or not re.fullmatch(r"[A-Za-z_]\w{0,59}", name):
            continue
        instead = f" in place of {_value(before)}" if name in old else ""
        if name in new:
            yield name, f"In a call of {tool}, give {name} as {_value(after)}{instead}."
        else:
            yield name, f"In a call of {tool}, leave {name} out{instead}."


def _value(value: Any) -> str:
    return _shortened(json.dumps(value, ensure_ascii=False), _MAX_VALUE_CHARS)


def _mistakes(error: str) -> Iterable[tuple[str, str]]:
    """Yield what was wrong with which argument, without the values that a model wrote."""
    for argument, mistake in _MISTAKE.findall(error):
        told = _BY_TOOL.sub("the tool refused what was given", mistake)
        plain = " ".join(_QUOTED.sub("...", told).split()).rstrip(". ")
        if plain:
            yield argument, _shortened(plain, _MAX_MISTAKE_CHARS)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
