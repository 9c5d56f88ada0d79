"""An audit record whose rows still fit their hashes once their content is forgotten."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Give what a row may have to forget a hash of its own; rows of before keep the one they have."""
    op.execute("alter table boring.audit add column content_hash text not null default ''")
    op.execute("""
        create or replace function boring.refuse_change() returns trigger language plpgsql as $$
        begin
            if tg_op = 'UPDATE' then
                if old.redacted_by is null and new.redacted_by > old.number
                    and exists (
                        select from boring.audit where number = new.redacted_by and event = 'redact'
                            and after -> 'rows' -> old.number::text is not null)
                    and (new.number, new.at, new.event, new.subject, new.tool, new.role, new.previous_hash,
                        new.hash, new.content_hash)
                        = (old.number, old.at, old.event, old.subject, old.tool, old.role, old.previous_hash,
                        old.hash, old.content_hash)
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
