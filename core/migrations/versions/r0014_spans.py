"""Spans, a table for each day."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table, what makes its days, and the views."""
    _create_spans()
    _create_days()


def _create_spans() -> None:
    op.execute("""
        create table boring.span (
            trace_id text not null,
            span_id text not null,
            parent_id text,
            name text not null,
            operation text not null,
            agent text,
            step text,
            tool text,
            model text,
            provider text,
            run_id text,
            thread_id text,
            tenant text not null default '',
            user_id text not null default '',
            started_at timestamptz not null,
            duration_ms double precision not null,
            status text not null check (status in ('ok', 'error', 'interrupted')),
            outcome text,
            error_type text,
            input_tokens int,
            output_tokens int,
            cached_tokens int,
            cache_write_tokens int,
            reasoning_tokens int,
            cost_usd numeric,
            attributes jsonb not null default '{}',
            events jsonb not null default '[]',
            links jsonb not null default '[]',
            primary key (trace_id, span_id, started_at)
        ) partition by range (started_at)
    """)
    op.execute("create index span_by_run on boring.span (run_id, started_at)")
    op.execute("create index span_by_time on boring.span (operation, started_at desc)")
    op.execute("create index span_by_thread on boring.span (thread_id, started_at)")


def _create_days() -> None:
    op.execute("""
        create function boring.make_span_day(day date) returns void language plpgsql as $$ begin
            if to_regclass('boring.span_' || to_char(day, 'YYYYMMDD')) is null then
                perform pg_advisory_xact_lock(hashtextextended('boring.span', 0));
                execute format(
                    'create table if not exists boring.span_%s partition of boring.span'
                    ' for values from (%L) to (%L)',
                    to_char(day, 'YYYYMMDD'), day::timestamp at time zone 'UTC',
                    (day + 1)::timestamp at time zone 'UTC');
            end if;
        end $$
    """)
