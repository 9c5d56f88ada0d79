"""Spans counted by hour and day, so that figures need not look at each; and the ways that runs are found."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Create the table of counts with what is stored so far, and the indexes of runs."""
    _create_counts()
    op.execute("insert into boring.span_count select * from boring.counted_spans('-infinity', 'infinity')")
    for name, column in (
        ("graph", "graph"),
        ("status", "status"),
        ("user", "(coalesce(context ->> 'user', 'local'))"),
        ("tenant", "(coalesce(context ->> 'tenant', 'local'))"),
    ):
        op.execute(f"create index run_by_{name} on boring.run ({column}, started_at desc)")


def _create_counts() -> None:
    op.execute("""
        create table boring.span_count (
            period text not null check (period in ('hour', 'day')),
            every_tenant boolean not null,
            tenant text not null,
            begins timestamptz not null,
            operation text not null,
            name text not null,
            bucket smallint not null,
            calls bigint not null,
            errors bigint not null,
            input_tokens bigint not null,
            output_tokens bigint not null,
            cost_usd numeric not null,
            unpriced bigint not null,
            primary key (period, every_tenant, tenant, begins, operation, name, bucket)
        ) with (fillfactor = 70)
    """)
    op.execute("""
        comment on column boring.span_count.bucket is
        'of the duration: from 1.1 ^ bucket to 1.1 ^ (bucket + 1) milliseconds'
    """)
    op.execute("""
        create function boring.duration_bucket(duration_ms double precision) returns smallint
        language sql immutable parallel safe
        return floor(ln(greatest(duration_ms, 0.01)) / ln(1.1))::smallint
    """)
    _create_counting()


def _create_counting() -> None:
    op.execute("""
        create function boring.counted_spans(since timestamptz, until timestamptz)
        returns setof boring.span_count language sql stable begin atomic
            select period, every_tenant, case when every_tenant then '' else tenant end,
                date_trunc(period, started_at, 'UTC'), operation,
                coalesce(case operation when 'chat' then model when 'execute_tool' then tool
                    when 'run_step' then step else agent end, '?'),
                boring.duration_bucket(duration_ms), count(*), count(*) filter (where status = 'error'),
                coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
                coalesce(sum(cost_usd), 0), count(*) filter (where operation = 'chat' and cost_usd is null)
            from boring.span,
                (values ('hour', false), ('hour', true), ('day', false), ('day', true))
                    as level (period, every_tenant)
            where started_at >= since and started_at < until
            group by 1, 2, 3, 4, 5, 6, 7;
        end
    """)
