"""Tool calls and runs."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the log of tool calls and the record of runs."""
    op.execute("create extension if not exists vector")
    op.execute("""
        create table boring.tool_call (
            id uuid primary key default gen_random_uuid(),
            thread_id text not null,
            run_id text,
            step int,
            call_id text not null,
            tool text not null,
            arguments jsonb not null,
            attempt int not null,
            outcome text not null
                check (outcome in ('ok', 'error', 'timeout', 'invalid', 'unknown_tool', 'cancelled')),
            result text,
            error text,
            latency_ms double precision,
            started_at timestamptz not null,
            finished_at timestamptz
        )
    """)
    op.execute("create index tool_call_by_thread on boring.tool_call (thread_id, started_at)")
    op.execute("create index tool_call_by_tool on boring.tool_call (tool, started_at)")
    _create_runs()


def _create_runs() -> None:
    op.execute("""
        create table boring.run (
            thread_id text not null,
            run_id text primary key,
            graph text not null,
            status text not null
                check (status in ('running', 'finished', 'stopped', 'failed', 'interrupted')),
            reason text,
            question text,
            input_tokens int not null default 0,
            output_tokens int not null default 0,
            started_at timestamptz not null default now(),
            finished_at timestamptz
        )
    """)
    op.execute("create index run_by_thread on boring.run (thread_id, started_at desc)")
    op.execute("create index run_by_time on boring.run (started_at desc)")
