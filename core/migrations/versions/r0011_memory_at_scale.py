"""Memories by the million: the model a tenant is searched by, and the words of large namespaces."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create what searching large namespaces and changing the embedding model need."""
    _make_room()
    _create_models()
    _create_scopes()
    _create_words()
    _keep_words()
    _separate_tenants()


def _make_room() -> None:
    # A vector beside its row is read without a second look-up; free space lets a row be counted as used
    # in its own page, so that no index is touched.
    op.execute("""
        alter table boring.memory_item
            alter column embedding set storage main,
            add column next_embedding halfvec,
            add column next_model text,
            add column next_dimensions int,
            add check (num_nonnulls(next_embedding, next_model, next_dimensions) in (0, 3)),
            add check (next_embedding is null or vector_dims(next_embedding) = next_dimensions),
            alter column next_embedding set storage main,
            set (fillfactor = 70)
    """)


def _create_models() -> None:
    op.execute("""
        create table boring.memory_model (
            tenant text primary key check (tenant <> ''),
            model text not null,
            dimensions int not null
        )
    """)


def _create_scopes() -> None:
    op.execute("""
        create table boring.memory_scope (
            id bigint primary key generated always as identity,
            tenant text not null check (tenant <> ''),
            path text collate "C" not null,
            word_rows bigint not null default 0,
            word_length double precision not null default 1,
            common jsonb not null default '{}',
            has_words boolean not null default false,
            counted_at timestamptz not null default now(),
            unique (tenant, path)
        )
    """)


def _create_words() -> None:
    op.execute("""
        create table boring.memory_words (
            scope bigint not null references boring.memory_scope on delete cascade,
            item uuid not null references boring.memory_item on delete cascade,
            tenant text not null,
            word_count int not null,
            words tsvector not null,
            primary key (item, scope)
        )
    """)
    op.execute("create index memory_words_by_scope on boring.memory_words (scope)")


def _keep_words() -> None:
    # The old row is found under the rule below: it shows itself to whoever asks for one of its words.
    op.execute("""
        create function boring.keep_words() returns trigger language plpgsql as $$ begin
            if tg_op = 'UPDATE' and old.valid_to is null and old.word_count > 0 then
                perform set_config(
                    'boring.asked', boring.as_query((tsvector_to_array(old.words))[1:1]), true);
                delete from boring.memory_words where item = old.id;
            end if;
            if new.valid_to is null and new.word_count > 0 then
                insert into boring.memory_words (scope, item, tenant, word_count, words)
                select id, new.id, new.tenant, new.word_count, new.words from boring.memory_scope
                where tenant = new.tenant and starts_with(new.path, path);
            end if;
            return null;
        end $$
    """)
    op.execute("""
        create function boring.as_query(lexemes text[]) returns text
        language sql immutable strict parallel safe as $$
            select string_agg(
                '''' || replace(replace(l, '\\', '\\\\'), '''', '''''') || '''', ' | '
            ) from unnest(lexemes) as l
        $$
    """)
    op.execute("""
        create trigger words_of_new after insert on boring.memory_item
        for each row execute function boring.keep_words()
    """)
    op.execute("""
        create trigger words_of_changed
        after update of namespace, text, valid_to, tenant on boring.memory_item
        for each row when (old.path <> new.path or old.text is distinct from new.text
            or old.valid_to is distinct from new.valid_to or old.tenant <> new.tenant)
        execute function boring.keep_words()
    """)


def _separate_tenants() -> None:
    # Postgres looks into an index of words only for a condition of the rule itself, since what compares
    # words might leak them. So the rule asks for the words.
    for table, rule in (
        ("memory_model", ""),
        ("memory_scope", ""),
        ("memory_words", "and words @@ current_setting('boring.asked', true)::tsquery"),
    ):
        op.execute(f"alter table boring.{table} enable row level security")
        op.execute(f"alter table boring.{table} force row level security")
        op.execute(f"""
            create policy one_tenant on boring.{table}
            using (tenant = current_setting('boring.tenant', true) {rule})
            with check (tenant = current_setting('boring.tenant', true))
        """)
    op.execute("""
        do $$ begin
            if exists (select from pg_roles where rolname = 'boring_app') then
                grant select, insert, update, delete on boring.memory_model, boring.memory_words
                    to boring_app;
                grant select on boring.memory_scope to boring_app;
            end if;
        end $$
    """)
