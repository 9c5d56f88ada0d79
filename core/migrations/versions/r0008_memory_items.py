"""Long-term memory: what is kept about a tenant's users, seen by that tenant only."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the memories, the role that reads them, and the rule that separates tenants."""
    _create_items()
    _create_indexes()
    _create_role()
    _separate_tenants()


def _create_items() -> None:
    # Labels of a namespace hold no period, so a prefix of labels is a prefix of the path, and a range of it.
    op.execute("""
        create function boring.path_of(namespace text[]) returns text
        language sql immutable strict parallel safe
        as $$ select array_to_string(namespace, '.') || '.' $$
    """)
    op.execute("""
        create table boring.memory_item (
            id uuid primary key,
            tenant text not null check (tenant <> ''),
            user_id text not null,
            kind text not null default 'fact' check (kind in ('fact', 'episode', 'summary')),
            namespace text[] not null check (cardinality(namespace) > 0),
            path text collate "C" not null generated always as (boring.path_of(namespace)) stored,
            key text collate "C" not null,
            value jsonb not null,
            text text,
            embedding halfvec,
            embedding_model text,
            embedding_dimensions int,
            words tsvector generated always as (to_tsvector('english', text)) stored,
            word_count int generated always as (length(to_tsvector('english', text))) stored,
            created_at timestamptz not null,
            updated_at timestamptz not null,
            valid_from timestamptz not null,
            valid_to timestamptz,
            superseded_by uuid,
            thread_id text,
            run_id text,
            message_id text,
            trusted boolean not null default false,
            ttl_minutes double precision,
            expires_at timestamptz,
            uses bigint not null default 0,
            check (num_nonnulls(embedding, embedding_model, embedding_dimensions) in (0, 3)),
            check (embedding is null or vector_dims(embedding) = embedding_dimensions),
            check (superseded_by is null or valid_to is not null)
        )
    """)


def _create_indexes() -> None:
    op.execute("""
        create unique index memory_item_current on boring.memory_item (tenant, path, key)
        where valid_to is null
    """)
    op.execute("create index memory_item_history on boring.memory_item (tenant, path, key, valid_from)")
    op.execute("""
        create index memory_item_due on boring.memory_item (tenant, expires_at)
        where expires_at is not null
    """)
    op.execute("create index memory_item_by_user on boring.memory_item (tenant, user_id)")


def _create_role() -> None:
    # A role belongs to the whole server: another database may have it, or be creating it at this moment.
    # A user who may create none is no superuser, and as the table's owner bound by its rule all the same.
    op.execute("""
        do $$ begin
            begin
                create role boring_app nologin nosuperuser nobypassrls;
            exception when duplicate_object or unique_violation or insufficient_privilege then null;
            end;
            if exists (select from pg_roles where rolname = 'boring_app') then
                grant usage on schema boring to boring_app;
                grant select, insert, update, delete on boring.memory_item to boring_app;
                if not (select rolsuper from pg_roles where rolname = current_user) then
                    begin
                        execute format('grant boring_app to %I', current_user);
                    exception when insufficient_privilege then null;
                    end;
                end if;
            end if;
        end $$
    """)


def _separate_tenants() -> None:
    op.execute("alter table boring.memory_item enable row level security")
    op.execute("alter table boring.memory_item force row level security")
    op.execute("""
        create policy one_tenant on boring.memory_item
        using (tenant = current_setting('boring.tenant', true))
        with check (tenant = current_setting('boring.tenant', true))
    """)
