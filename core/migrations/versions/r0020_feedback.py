"""Feedback on runs: what people say of them, and signs that somebody was not content."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Create the table, the rule that separates tenants, and the index of runs by other ids."""
    _create_feedback()
    _separate_tenants()
    op.execute("""
        create index span_called_as on boring.span ((attributes ->> 'boring.called_as'))
        where attributes ? 'boring.called_as'
    """)


def _create_feedback() -> None:
    op.execute("""
        create table boring.feedback (
            id uuid primary key default gen_random_uuid(),
            tenant text not null check (tenant <> ''),
            user_id text not null,
            run_id text not null,
            thread_id text not null,
            agent text not null,
            key text not null check (char_length(key) between 1 and 100),
            score double precision check (score between 0 and 1),
            comment text check (char_length(comment) between 1 and 10000),
            correction text check (char_length(correction) between 1 and 10000),
            source text not null check (source in ('user', 'operator', 'signal')),
            signal text check (signal in ('rephrased', 'abandoned', 'edited_approval')),
            given_by text not null check (given_by <> ''),
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            check ((source = 'signal') = (signal is not null)),
            check (num_nonnulls(score, comment, correction, signal) > 0),
            check (signal is null or score is null),
            unique (tenant, run_id, key, given_by)
        )
    """)
    op.execute("create index feedback_by_time on boring.feedback (tenant, updated_at desc)")
    op.execute("create index feedback_by_user on boring.feedback (tenant, user_id)")


def _separate_tenants() -> None:
    op.execute("alter table boring.feedback enable row level security")
    op.execute("alter table boring.feedback force row level security")
    op.execute("""
        create policy one_tenant on boring.feedback
        using (tenant = current_setting('boring.tenant', true))
        with check (tenant = current_setting('boring.tenant', true))
    """)
    op.execute("""
        do $$ begin
            if exists (select from pg_roles where rolname = 'boring_app') then
                grant select, insert, update, delete on boring.feedback to boring_app;
            end if;
        end $$
    """)
