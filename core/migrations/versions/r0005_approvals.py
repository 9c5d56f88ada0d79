"""Requests for approval, found without opening a thread, and the audit record that can only grow."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the inbox and the audit record."""
    _create_approvals()
    _create_audit()


def _create_approvals() -> None:
    # `json` keeps the order of names, in which people and forms are shown them; `jsonb` does not.
    op.execute("""
        create table boring.approval (
            id uuid primary key,
            key text not null unique,
            thread_id text not null,
            run_id text not null,
            call_id text not null,
            tool text not null,
            arguments json not null,
            arguments_hash text not null,
            arguments_schema json not null default '{}',
            requester text not null,
            tenant text not null,
            reason text not null,
            chain jsonb not null,
            roles jsonb not null default '{}',
            status text not null default 'open'
                check (status in ('open', 'edited', 'approved', 'denied', 'answered')),
            version int not null default 1,
            edit json,
            note text,
            result text,
            settled_by text,
            created_at timestamptz not null default now(),
            expires_at timestamptz,
            settled_at timestamptz,
            resumed_at timestamptz,
            resumed_by text,
            audit_hash text not null default ''
        )
    """)
    op.execute("create index approval_open on boring.approval (created_at) where settled_at is null")
    op.execute("create index approval_due on boring.approval (expires_at) where expires_at is not null")
    op.execute("create index approval_by_thread on boring.approval (thread_id)")


def _create_audit() -> None:
    # `json` keeps a number as it was written, which the hash needs; `jsonb` does not.
    op.execute("""
        create table boring.audit (
            number bigint primary key,
            at timestamptz not null,
            event text not null,
            subject text not null,
            thread_id text not null,
            run_id text not null,
            tool text not null,
            who text not null,
            role text not null,
            arguments_hash text not null,
            before json not null,
            after json not null,
            previous_hash text not null,
            hash text not null
        )
    """)
    op.execute("create index audit_by_subject on boring.audit (subject, number)")
    op.execute("""
        create function boring.refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception 'boring.audit can only grow: % is refused', tg_op
                using errcode = 'insufficient_privilege';
        end
        $$
    """)
    op.execute("""
        create trigger audit_only_grows before update or delete or truncate on boring.audit
        for each statement execute function boring.refuse_change()
    """)
