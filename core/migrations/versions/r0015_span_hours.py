"""Spans counted by hour, so that figures need not look at each; and the ways that runs are looked for."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table of counts with what is stored so far, and the indexes of runs."""
    _create_hours()
    _count_stored()
    for name, column in (
        ("graph", "graph"),
        ("status", "status"),
        ("user", "(coalesce(context ->> 'user', 'local'))"),
        ("tenant", "(coalesce(context ->> 'tenant', 'local'))"),
    ):
        op.execute(f"create index run_by_{name} on boring.run ({column}, started_at desc)")


def _create_hours() -> None:
    op.execute("""
        create table boring.span_hour (
            hour timestamptz not null,
            operation text not null,
            name text not null,
            tenant text not null,
            bucket smallint not null,
            calls bigint not null,
            errors bigint not null,
            input_tokens bigint not null,
            output_tokens bigint not null,
            cost_usd numeric not null,
            unpriced bigint not null,
            primary key (hour, operation, name, tenant, bucket)
        )
    """)
    op.execute("""
        comment on column boring.span_hour.bucket is
        'of the duration: from 1.1 ^ bucket to 1.1 ^ (bucket + 1) milliseconds'
    """)
    op.execute("""
        create function boring.duration_bucket(duration_ms double precision) returns smallint
        language sql immutable parallel safe
        return floor(ln(greatest(duration_ms, 0.01)) / ln(1.1))::smallint
    """)


def _count_stored() -> None:
    op.execute("""
        insert into boring.span_hour
        select date_trunc('hour', started_at, 'UTC'), operation,
            coalesce(case operation when 'chat' then model when 'execute_tool' then tool
                when 'run_step' then step else agent end, '?'),
            tenant, boring.duration_bucket(duration_ms), count(*), count(*) filter (where status = 'error'),
            coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0),
            count(*) filter (where operation = 'chat' and cost_usd is null)
        from boring.span group by 1, 2, 3, 4, 5
    """)
