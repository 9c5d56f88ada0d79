"""Turns that are still to be learnt from, facts found by their content, an audit record that can forget."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the queue of turns and the hash of a fact, and let rows of the audit record be redacted."""
    _create_queue()
    _hash_content()
    _let_audit_forget()


def _create_queue() -> None:
    op.execute("""
        create table boring.extraction (
            run_id text primary key,
            thread_id text not null,
            tenant text not null,
            user_id text not null,
            graph text not null,
            messages jsonb not null,
            state text not null default 'waiting' check (state in ('waiting', 'done', 'failed')),
            attempts int not null default 0,
            worker text,
            due_at timestamptz not null default now(),
            enqueued_at timestamptz not null default now(),
            finished_at timestamptz,
            learnt int not null default 0,
            input_tokens int not null default 0,
            output_tokens int not null default 0,
            last_error text
        )
    """)
    op.execute("create index extraction_due on boring.extraction (due_at) where state = 'waiting'")
    op.execute("create index extraction_by_user on boring.extraction (tenant, user_id)")


def _hash_content() -> None:
    op.execute("""
        create function boring.content_hash(value jsonb) returns text
        language sql immutable parallel safe
        as $$ select md5(trim(both ' .!' from lower(regexp_replace(value ->> 'text', '\\s+', ' ', 'g')))) $$
    """)
    op.execute("""
        create index memory_item_by_content on boring.memory_item (tenant, path, boring.content_hash(value))
        where valid_to is null
    """)


def _let_audit_forget() -> None:
    # Rows of before have no salt, and their hash is that of their content without one.
    op.execute("""
        alter table boring.audit add column salt text not null default '', add column redacted_by bigint
    """)
    op.execute("create index audit_by_thread on boring.audit (thread_id)")
    op.execute("""
        create or replace function boring.refuse_change() returns trigger language plpgsql as $$
        begin
            if tg_op = 'UPDATE' then
                if old.redacted_by is null and new.redacted_by > old.number
                    and exists (
                        select from boring.audit where number = new.redacted_by and event = 'redact'
                            and after -> 'rows' -> old.number::text is not null)
                    and (new.number, new.at, new.event, new.subject, new.tool, new.role, new.previous_hash,
                        new.hash)
                        = (old.number, old.at, old.event, old.subject, old.tool, old.role, old.previous_hash,
                        old.hash)
                    and (new.thread_id, new.run_id, new.who, new.arguments_hash, new.salt)
                        = ('', '', '', '', '')
                    and new.before::text = '{}' and new.after::text = '{}'
                then
                    return new;
                end if;
            end if;
            raise exception 'boring.audit can only grow: % is refused', tg_op
                using errcode = 'insufficient_privilege';
        end
        $$
    """)
    op.execute("drop trigger audit_only_grows on boring.audit")
    op.execute("""
        create trigger audit_only_grows before update or delete on boring.audit
        for each row execute function boring.refuse_change()
    """)
    op.execute("""
        create trigger audit_is_not_emptied before truncate on boring.audit
        for each statement execute function boring.refuse_change()
    """)
