"""What a transaction and a search begin with, as functions that travel in one message."""

from alembic import op

revision = "0018"
down_revision = "0017"

_BEGIN_SEARCH = """
create or replace function boring.begin_search(
    prefix text[], query text, made_by text, rarely int, share int, candidates int, depth int
) returns table (
    model text, dimensions int, id bigint, tenant text, path text, word_rows bigint,
    word_length double precision, old boolean, by_meaning boolean, by_words boolean
) language plpgsql as $$
#variable_conflict use_column
begin return query
    with served as (
        (select model, dimensions from boring.memory_model) union all (
            select embedding_model, embedding_dimensions from boring.memory_item
            where embedding is not null and valid_to is null
                and not exists (select from boring.memory_model) limit 1)
    ), scope as (
        select served.model, served.dimensions, id, tenant, path, word_rows, word_length, counted_at,
            has_words, common || '{}' as common, greatest(rarely, word_rows / share) as rare
        from served left join boring.memory_scope as scope
            on path = case when prefix = '{}' then '' else boring.path_of(prefix) end
    ), word as (
        select lexeme, (common -> md5(lexeme))::bigint as count
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
            set_config('hnsw.iterative_scan', 'strict_order', true),
            set_config('plan_cache_mode', 'force_generic_plan', true)
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
"""The numbers of `common` are put together with nothing, so that they are unpacked once.

A search by an index of 10,000 vectors looks at as many as are wanted, by one of 1,000,000 at twice as many:
what has to be looked at to find the same share of the nearest grows with the logarithm of how many there are.
1000 is what pgvector 0.8 takes at most.
"""


def upgrade() -> None:
    """Create the functions."""
    _create_become()
    _create_begin_search()


def _create_become() -> None:
    op.execute("""
        create function boring.become(tenant text, role text, reading boolean) returns void
        language plpgsql as $$ begin
            perform set_config('boring.tenant', tenant, true);
            if (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) then
                perform set_config('role', role, true);
            end if;
            if reading then
                perform set_config('synchronous_commit', 'off', true);
            end if;
        end $$
    """)
    op.execute("""
        comment on function boring.become is
        'Binds the transaction to a tenant, under a role that row-level security binds'
    """)


def _create_begin_search() -> None:
    op.execute(_BEGIN_SEARCH)
    op.execute("""
        comment on function boring.begin_search is
        'Tells which indexes serve a namespace, and sets what a search by them goes by: boring.asked, the
         rarest words of the question, which items are found by; boring.lexemes, all its words;
         boring.counts, how many items have each, null for a rare one'
    """)
