"""A search begins without two settings that it no longer reads."""

from alembic import op

revision = "0025"
down_revision = "0024"

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
            set_config('boring.asked',
                coalesce(boring.as_query(array_agg(lexeme) filter (where is_asked)), ''), true),
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


def upgrade() -> None:
    """Ask every memory that has a word of a question for all of its words: that is as fast, and simpler."""
    op.execute(_BEGIN_SEARCH)
