"""Where something of a user is kept, how it is found there, and how it is forgotten: one list.

A new table that holds something of users gets a `Part` here. A test fails for every table with texts or JSON
that neither a part nor `HOLD_NOTHING_OF_USERS` names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow

from core.worker import LOCK_OF
from memory.facts import user_namespace
from memory.plans import PLANS_OF_THREADS
from memory.rules_listing import REPLACED_BY_OTHERS, RULES_OF_USER
from memory.store_scopes import SCOPE_OF_USER


@dataclass(frozen=True, slots=True)
class Part:
    """Something that is kept of users.

    Attributes:
        name: for people.
        table: where it is kept; one that is not there yet holds nothing.
        of_user: the condition that a row is the user's. It may name `%(tenant)s`, `%(user)s`, `%(place)s`
            (the beginning of the path of their memories), `%(threads)s` and `%(runs)s`.
        blanked: columns that are overwritten, with their new values as SQL; without any, rows are deleted.
    """

    name: str
    table: str
    of_user: LiteralString
    blanked: LiteralString = ""


_OF_THREAD: Final[LiteralString] = "(thread_id = any(%(threads)s) or run_id = any(%(runs)s))"
_ON_THREAD: Final[LiteralString] = "thread_id = any(%(threads)s)"
_CREATED: Final[LiteralString] = "tenant = %(tenant)s and created_by = %(user)s"

PARTS: Final[Sequence[Part]] = (
    Part(
        "turns to learn from",
        "boring.extraction",
        "(tenant = %(tenant)s and user_id = %(user)s or " + _OF_THREAD + ")",
    ),
    Part(
        "counts of words in indexes",
        "boring.memory_word_count",
        f"scope in (select id from boring.memory_scope where {SCOPE_OF_USER})",  # noqa: S608 - a constant
    ),
    Part("namespaces with indexes", "boring.memory_scope", SCOPE_OF_USER),
    Part(
        "words of memories in indexes",
        "boring.memory_words",
        "tenant = %(tenant)s and item in (select id from boring.memory_item"
        " where tenant = %(tenant)s and (user_id = %(user)s or starts_with(path, %(place)s)))",
    ),
    Part(
        "memories",
        "boring.memory_item",
        "tenant = %(tenant)s and (user_id = %(user)s or starts_with(path, %(place)s))",
    ),
    Part("rules", "boring.rule", RULES_OF_USER),
    Part(
        "names in rules",
        "boring.rule",
        "tenant = %(tenant)s and proposed_by = %(user)s",
        "proposed_by = '[forgotten]'",
    ),
    Part(
        "decisions on rules",
        "boring.rule",
        "tenant = %(tenant)s and decided_by = %(user)s",
        "decided_by = '[forgotten]', why = '[forgotten]'",
    ),
    Part(
        "events of rules",
        "boring.rule_event",
        "tenant = %(tenant)s and who = %(user)s",
        "who = '[forgotten]', why = '[forgotten]'",
    ),
    Part(
        "evidence of rules",
        "boring.rule_evidence",
        "tenant = %(tenant)s and %(user)s in (user_id, said_by)",
    ),
    Part(
        "feedback",
        "boring.feedback",
        "(tenant = %(tenant)s and %(user)s in (user_id, given_by) or " + _OF_THREAD + ")",
    ),
    Part(
        "requests for approval",
        "boring.approval",
        "(tenant = %(tenant)s and requester = %(user)s or " + _OF_THREAD + ")",
    ),
    Part("questions to people", "boring.question", _OF_THREAD),
    Part("effects", "boring.effect", _OF_THREAD),
    Part(
        "plans",
        "boring.plan",
        f"(run_id = any(%(runs)s) or {PLANS_OF_THREADS})",
    ),
    Part(
        "spans",
        "boring.span",
        "(tenant = %(tenant)s and user_id = %(user)s or " + _OF_THREAD + ")",
    ),
    Part("costs of runs", "boring.run_cost", "run_id = any(%(runs)s)"),
    Part("ratings of runs", "boring.run_rating", "run_id = any(%(runs)s)"),
    Part("tool calls", "boring.tool_call", _OF_THREAD),
    Part("decisions", "boring.decision", _OF_THREAD),
    Part("checkpoints", "checkpoints", _ON_THREAD),
    Part("values of checkpoints", "checkpoint_blobs", _ON_THREAD),
    Part("writes of checkpoints", "checkpoint_writes", _ON_THREAD),
    Part("users of copied threads", "boring.thread_copy", _ON_THREAD),
    Part("leases of threads", "boring.thread_lease", _ON_THREAD),
    Part(
        "tickets",
        "boring.ticket",
        _CREATED,
        "title = '[forgotten]', body = '', created_by = '[forgotten]'",
    ),
    Part("refunds", "boring.refund", _CREATED, "reason = '[forgotten]', created_by = '[forgotten]'"),
    Part("runs", "boring.run", _OF_THREAD),
)
"""In the order in which they are forgotten: locks are taken in the order in which others take them, and turns
to learn from go before memories, so that what is being learnt at this moment is not kept."""
REDACTED: Final = frozenset({"boring.audit"})
"""Forgotten by `observability.redaction`: rows stay, and lose what they hold of users."""
HOLD_NOTHING_OF_USERS: Final = frozenset(
    {
        "boring.alembic_version",
        "boring.breaker",  # names of tools and models, and kinds of errors
        "boring.document",  # the tenant's, whoever has indexed it; so are the tables of passages
        "boring.mcp_tool",
        "boring.memory_model",  # a tenant, and the name of the embedding model
        "boring.outlet",  # counts, and kinds of errors
        "boring.span_count",  # names of tenants, agents, steps, models and tools
        "checkpoint_migrations",
    }
)
_RUNS: LiteralString = """
select run_id, thread_id from boring.run
where coalesce(context ->> 'tenant', 'local') = %(tenant)s
    and coalesce(context ->> 'user', 'local') = %(user)s
"""
_NOTED_COPIES: LiteralString = """
select thread_id from boring.thread_copy where tenant = %(tenant)s and user_id = %(user)s
"""
_COPIES: LiteralString = """
select distinct thread_id from checkpoints
where metadata ->> 'run_id' = any(%(runs)s) or metadata ->> 'boring_run' = any(%(runs)s)
    or checkpoint_id in (select checkpoint_id from checkpoints where thread_id = any(%(threads)s))
"""
"""A thread that was copied has the checkpoints of the first one, by the same ids.

That finds copies that were made before they were noted, or by another program.
"""
_OTHERS: LiteralString = """
select run_id, thread_id, (context ->> 'tenant', context ->> 'user') <> (%(tenant)s, %(user)s) as of_others
from boring.run where thread_id = any(%(threads)s)
union all
select null, thread_id, (tenant, user_id) <> (%(tenant)s, %(user)s)
from boring.thread_copy where thread_id = any(%(threads)s)
"""
_BUSY: LiteralString = (
    "select thread_id from boring.thread_lease where thread_id = any(%(threads)s)"  # noqa: S608 - all of it is constant
    " and not pg_try_advisory_xact_lock_shared(" + LOCK_OF.replace("%s", "worker") + ") order by thread_id"
)
_ORPHANS = """
update boring.memory_item set thread_id = null, run_id = null, message_id = null
where tenant = %(tenant)s and thread_id = any(%(threads)s)
"""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a user has left.

    Attributes:
        threads: every thread in which the user has asked something, and copies of them.
        runs: every run in these threads.
        shared: those of the threads in which others have asked something too.
        busy: those that somebody is working on at this moment.
    """

    tenant: str
    user: str
    threads: tuple[str, ...]
    runs: tuple[str, ...]
    shared: tuple[str, ...]
    busy: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """Return the parameters of the conditions."""
        place = place_of(self.user)
        both = {"threads": list(self.threads), "runs": list(self.runs)}
        return {"tenant": self.tenant, "user": self.user, "place": place, **both}


def place_of(user: str) -> str:
    """Return what the paths of a user's own namespaces begin with."""
    return ".".join(user_namespace(user)) + "."


async def traces(connection: AsyncConnection[DictRow], tenant: str, user: str) -> Traces:
    """Return the threads and runs of a user, in an open transaction.

    Runs without a thread share the empty one: it is no thread, and their rows are found by the run.
    """
    await connection.execute("select set_config('boring.tenant', %s, true)", (tenant,))
    whose: dict[str, Any] = {"tenant": tenant, "user": user}
    rows = await (await connection.execute(_RUNS, whose)).fetchall()
    runs = {row["run_id"] for row in rows}
    threads = {row["thread_id"] for row in rows} - {""}
    noted = await (await connection.execute(_NOTED_COPIES, whose)).fetchall()
    threads |= {row["thread_id"] for row in noted}
    if await _is_there(connection, "checkpoints"):
        copied = await connection.execute(_COPIES, {"runs": sorted(runs), "threads": sorted(threads)})
        threads |= {row["thread_id"] for row in await copied.fetchall()}
    found = await connection.execute(_OTHERS, {**whose, "threads": sorted(threads)})
    others = await found.fetchall()
    runs |= {row["run_id"] for row in others if row["run_id"] is not None}
    shared = sorted({row["thread_id"] for row in others if row["of_others"]})
    busy = await connection.execute(_BUSY, {"threads": sorted(threads)})
    names = tuple(row["thread_id"] for row in await busy.fetchall())
    return Traces(tenant, user, tuple(sorted(threads)), tuple(sorted(runs)), tuple(shared), names)


async def count(connection: AsyncConnection[DictRow], of: Traces) -> dict[str, int]:
    """Return how many rows of each part are the user's, in the transaction of `traces`."""
    counted: dict[str, int] = {}
    for part in PARTS:
        counted[part.name] = 0
        if await _is_there(connection, part.table):
            statement = sql.SQL("select count(*) as n from {} where ").format(_table(part)) + sql.SQL(
                part.of_user
            )
            row = await (await connection.execute(statement, of.values())).fetchone()
            counted[part.name] = row["n"] if row else 0
    return counted


async def erase(connection: AsyncConnection[DictRow], of: Traces) -> dict[str, int]:
    """Forget every part in the transaction of `traces`; return how many rows of each there were.

    What others know from a thread of the user stays theirs, and no longer says that it is from there.
    """
    erased: dict[str, int] = {}
    await connection.execute(REPLACED_BY_OTHERS, of.values())
    for part in PARTS:
        erased[part.name] = 0
        if await _is_there(connection, part.table):
            change = sql.SQL("update {table} set {new}" if part.blanked else "delete from {table}")
            changing = change.format(table=_table(part), new=sql.SQL(part.blanked))
            statement = changing + sql.SQL(" where " + part.of_user)
            erased[part.name] = (await connection.execute(statement, of.values())).rowcount
    await connection.execute(_ORPHANS, of.values())
    return erased


async def erase_run(connection: AsyncConnection[DictRow], run_id: str) -> None:
    """Forget what a run has recorded of itself, in an open transaction.

    It is for a run whose user was forgotten while it went on: what it recorded since is nobody's.
    """
    values = Traces("", "", (), (run_id,), (), ()).values()
    for part in PARTS:
        if part.of_user == _OF_THREAD and not part.blanked:
            statement = sql.SQL("delete from {} where ").format(_table(part)) + sql.SQL(part.of_user)
            await connection.execute(statement, values)


def named(counted: Mapping[str, int]) -> str:
    """Return counts in words: `3 memories, 12 checkpoints`."""
    return ", ".join(f"{number} {name}" for name, number in counted.items() if number) or "nothing"


def _table(part: Part) -> sql.Composable:
    return sql.SQL(".").join(sql.Identifier(name) for name in part.table.split("."))


async def _is_there(connection: AsyncConnection[DictRow], table: str) -> bool:
    row = await (await connection.execute("select to_regclass(%s) is not null as there", (table,))).fetchone()
    return bool(row and row["there"])
