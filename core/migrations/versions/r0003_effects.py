"""Effects that happen once: the journal, recorded plans, who works on a thread, questions to a person.

Beside them: circuit breakers, decisions, accepted MCP tools, and the ticket table of the built-in tools.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables, and give the log and the runs what they lack."""
    _widen_calls_and_runs()
    _create_journal()
    _create_effects()
    _create_questions()
    _create_breakers_and_decisions()
    _create_mcp_and_tickets()


def _widen_calls_and_runs() -> None:
    op.execute("alter table boring.run add column turn_id text, add column received_at timestamptz")
    op.execute("create index run_by_turn on boring.run (thread_id, turn_id)")
    op.execute("alter table boring.tool_call drop constraint tool_call_outcome_check")
    op.execute("alter table boring.tool_call add column effect text, add column approved_by text")
    op.execute("alter table boring.tool_call add column key text, add column replayed boolean")
    op.execute("create index tool_call_by_time on boring.tool_call (started_at desc)")


def _create_journal() -> None:
    op.execute("""
        create table boring.thread_lease (
            thread_id text primary key,
            worker text not null,
            taken_at timestamptz not null default now()
        )
    """)
    op.execute("""
        create table boring.plan (
            place text not null,
            basis text not null,
            plan_id text not null,
            turn_id text not null,
            run_id text not null,
            messages jsonb not null,
            turn jsonb not null,
            recorded_at timestamptz not null default now(),
            primary key (place, basis)
        )
    """)
    op.execute("create index plan_by_turn on boring.plan (place, turn_id)")


def _create_effects() -> None:
    op.execute("""
        create table boring.effect (
            key text primary key,
            thread_id text not null,
            run_id text not null,
            call_id text not null,
            tool text not null,
            effect text not null check (effect in ('idempotent', 'transactional', 'unsafe')),
            arguments jsonb not null,
            idempotency_key text not null,
            attempt int not null default 1,
            intended_at timestamptz not null default now(),
            finished_at timestamptz,
            outcome text,
            result jsonb,
            resolved_by text
        )
    """)
    op.execute("create index effect_by_thread on boring.effect (thread_id, tool)")
    op.execute("create index effect_by_call on boring.effect (call_id)")
    op.execute("create index effect_unknown on boring.effect (thread_id, run_id) where outcome = 'unknown'")


def _create_questions() -> None:
    op.execute("""
        create table boring.question (
            key text not null,
            kind text not null check (kind in ('approval', 'in_doubt')),
            attempt int not null,
            thread_id text not null,
            run_id text not null,
            payload jsonb not null,
            asked_at timestamptz not null default now(),
            answer jsonb,
            answered_by text,
            answered_at timestamptz,
            primary key (key, kind, attempt)
        )
    """)
    op.execute("create index question_open on boring.question (thread_id) where answer is null")


def _create_breakers_and_decisions() -> None:
    op.execute("""
        create table boring.breaker (
            name text primary key,
            state text not null check (state in ('closed', 'open', 'half_open')),
            failures int not null default 0,
            cooldown_s double precision not null,
            reopen_at timestamptz,
            last_error text,
            changed_at timestamptz not null default now()
        )
    """)
    op.execute("""
        create table boring.decision (
            id uuid primary key,
            thread_id text not null,
            run_id text not null,
            step int,
            kind text not null,
            choice text not null,
            candidates jsonb not null default '[]',
            reason text not null,
            decided_by text not null,
            decided_at timestamptz not null default now()
        )
    """)
    op.execute("create index decision_by_run on boring.decision (run_id, decided_at)")


def _create_mcp_and_tickets() -> None:
    op.execute("""
        create table boring.mcp_tool (
            server text not null,
            tool text not null,
            description_hash text not null,
            description jsonb not null,
            accepted_at timestamptz not null default now(),
            primary key (server, tool)
        )
    """)
    op.execute("""
        create table boring.ticket (
            id bigint generated always as identity primary key,
            tenant text not null,
            title text not null,
            body text not null default '',
            status text not null default 'open' check (status in ('open', 'waiting', 'closed')),
            priority text not null default 'normal' check (priority in ('low', 'normal', 'high')),
            created_by text not null,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now()
        )
    """)
    op.execute("create index ticket_by_tenant on boring.ticket (tenant, status, id desc)")
