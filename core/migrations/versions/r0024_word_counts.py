"""How common words are stands in a table, of which a search reads but the words of its question."""

from alembic import op

revision = "0024"
down_revision = "0023"

_BEGIN_SEARCH = """
create or replace function boring.begin_search(
    prefix text[], query text, made_by text, rarely int, share int, candidates int, depth int
) returns table (
    model text, dimensions int, id bigint, tenant text, path text, word_rows bigint,
    word_length double precision, old boolean, by_meaning boolean, by_words boolean
) language plpgsql as $$
#variable_conflict use_column
begin
    perform set_config('plan_cache_mode', 'force_generic_plan', true);
    return query
    with served as (
        (select model, dimensions from boring.memory_model) union all (
            select embedding_model, embedding_dimensions from boring.memory_item
            where embedding is not null and valid_to is null
                and not exists (select from boring.memory_model) limit 1)
    ), scope as (
        select served.model, served.dimensions, id, tenant, path, word_rows, word_length, counted_at,
            has_words, greatest(rarely, word_rows / share) as rare
        from served left join boring.memory_scope as scope
            on path = case when prefix = '{}' then '' else boring.path_of(prefix) end
    ), word as (
        select lexeme, (
            select items from boring.memory_word_count where scope = scope.id and word = md5(lexeme)
        ) as count
        from scope, unnest(tsvector_to_array(to_tsvector('english', query))) as lexeme
    ), rarest as (
        select lexeme, count, row_number() over each = 1
            or sum(coalesce(count, rare)) over each <= candidates as is_asked
        from word, scope window each as (order by coalesce(count, rare), lexeme)
    ), told as (
        select set_config('boring.lexemes', coalesce(array_agg(lexeme), '{}')::text, true),
            set_config('boring.counts', coalesce(array_agg(count), '{}')::text, true),
            set_config('boring.are_asked', coalesce(array_agg(is_asked), '{}')::text, true),
            set_config('boring.asked',
                coalesce(boring.as_query(array_agg(lexeme) filter (where is_asked)), ''), true),
            set_config('boring.not_asked',
                coalesce(boring.as_query(array_agg(lexeme) filter (where not is_asked)), ''), true),
            set_config('hnsw.ef_search', least(1000, depth * greatest(1, (
                select 1 + log(greatest(word_rows, 1) / 10000.0) / 2 from scope)))::int::text, true),
            set_config('hnsw.iterative_scan', 'strict_order', true)
        from rarest
    )
    select scope.model, scope.dimensions, scope.id, scope.tenant, scope.path, scope.word_rows,
        scope.word_length, scope.counted_at < now() - interval '1 day',
        exists (select from pg_index where indisvalid
            and indexrelid = to_regclass('boring.memory_scope_' || scope.id || '_' || made_by)),
        scope.has_words and exists (select from pg_index where indisvalid
            and indexrelid = to_regclass('boring.memory_words_' || scope.id))
    from scope, told;
end $$
"""
"""What is asked is planned once for a connection, which is set first: planning took longer than asking."""


def upgrade() -> None:
    """Move what was counted of words; a search unpacked all of it before."""
    _create_word_counts()
    op.execute("alter table boring.memory_scope no force row level security")
    op.execute("""
        insert into boring.memory_word_count (scope, tenant, word, items)
        select id, tenant, word, items::bigint
        from boring.memory_scope, jsonb_each_text(common) as counted (word, items)
    """)
    op.execute("alter table boring.memory_scope force row level security")
    op.execute(_BEGIN_SEARCH)
    op.execute("alter table boring.memory_scope drop column common")
    _separate_tenants()


def _create_word_counts() -> None:
    op.execute("""
        create table boring.memory_word_count (
            scope bigint not null references boring.memory_scope on delete cascade,
            tenant text not null,
            word text collate "C" not null,
            items bigint not null,
            primary key (scope, word)
        )
    """)
    op.execute(
        "comment on table boring.memory_word_count is 'Words, by their MD5, that many items of a scope have'"
    )


def _separate_tenants() -> None:
    op.execute("alter table boring.memory_word_count enable row level security")
    op.execute("alter table boring.memory_word_count force row level security")
    op.execute("""
        create policy one_tenant on boring.memory_word_count
        using (tenant = current_setting('boring.tenant', true))
        with check (tenant = current_setting('boring.tenant', true))
    """)
    op.execute("""
        do $$ begin
            if exists (select from pg_roles where rolname = 'boring_app') then
                grant select on boring.memory_word_count to boring_app;
            end if;
        end $$
    """)
