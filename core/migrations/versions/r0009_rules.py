"""Rules and preferences: versioned by scope and key, with what led to them and what was decided of them."""

from alembic import op

revision = "0009"
down_revision = "0008"

_TABLES = ("rule", "rule_event", "rule_evidence")


def upgrade() -> None:
    """Create the rules, their events and evidence, and the rule that separates tenants."""
    _create_rules()
    _create_events_and_evidence()
    _grant()
    for table in _TABLES:
        op.execute(f"alter table boring.{table} enable row level security")
        op.execute(f"alter table boring.{table} force row level security")
        op.execute(f"""
            create policy one_tenant on boring.{table}
            using (tenant = current_setting('boring.tenant', true))
            with check (tenant = current_setting('boring.tenant', true))
        """)


def _create_rules() -> None:
    # An empty user or agent stands for every one: null would make rows of one scope unlike each other.
    op.execute("""
        create table boring.rule (
            id uuid primary key,
            tenant text not null check (tenant <> ''),
            user_id text not null default '',
            agent text not null default '',
            key text not null check (key <> ''),
            version int not null check (version > 0),
            status text not null default 'proposed'
                check (status in ('proposed', 'on_trial', 'active', 'retired')),
            text text not null check (char_length(text) between 1 and 500),
            source text not null
                check (source in ('feedback', 'approval_edit', 'repeated_repair', 'explicit', 'person')),
            proposed_by text not null,
            created_at timestamptz not null default clock_timestamp(),
            decided_by text,
            decided_at timestamptz,
            why text,
            activated_at timestamptz,
            replaced uuid references boring.rule (id) on delete set null,
            trial jsonb,
            unique (tenant, user_id, agent, key, version)
        )
    """)
    for status in ("active", "on_trial"):
        op.execute(f"""
            create unique index rule_one_{status} on boring.rule (tenant, user_id, agent, key)
            where status = '{status}'
        """)
    op.execute("create index rule_replaced on boring.rule (replaced) where replaced is not null")


def _create_events_and_evidence() -> None:
    op.execute("""
        create table boring.rule_event (
            number bigint generated always as identity primary key,
            tenant text not null,
            rule_id uuid not null references boring.rule (id) on delete cascade,
            at timestamptz not null default clock_timestamp(),
            who text not null,
            from_status text,
            to_status text not null,
            why text not null
        )
    """)
    op.execute("create index rule_event_by_rule on boring.rule_event (rule_id, number)")
    op.execute("""
        create table boring.rule_evidence (
            number bigint generated always as identity primary key,
            tenant text not null,
            rule_id uuid not null references boring.rule (id) on delete cascade,
            name text not null,
            user_id text not null,
            said_by text not null,
            thread_id text,
            run_id text,
            message_id text,
            call_id text,
            approval_id text,
            quote text not null,
            at timestamptz not null default clock_timestamp(),
            unique (rule_id, name)
        )
    """)
    op.execute("create index rule_evidence_by_user on boring.rule_evidence (tenant, user_id)")
    op.execute("create index rule_evidence_by_sayer on boring.rule_evidence (tenant, said_by)")


def _grant() -> None:
    # What a version says is never changed, and of an event nothing but the name of somebody to be forgotten.
    op.execute("""
        do $$ begin
            if exists (select from pg_roles where rolname = 'boring_app') then
                grant select, insert, delete on boring.rule, boring.rule_event, boring.rule_evidence
                    to boring_app;
                grant update (status, proposed_by, decided_by, decided_at, why, activated_at, replaced, trial)
                    on boring.rule to boring_app;
                grant update (who, why) on boring.rule_event to boring_app;
            end if;
        end $$
    """)
