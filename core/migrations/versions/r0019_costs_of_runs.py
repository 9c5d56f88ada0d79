"""What each run has cost, so that runs are found by it without a look at their spans."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the table with what is stored so far; a run without a model call has no row."""
    op.execute("""
        create table boring.run_cost (
            run_id text primary key references boring.run on delete cascade,
            model_calls int not null,
            cost_usd numeric not null,
            unpriced int not null
        )
    """)
    op.execute("""
        comment on column boring.run_cost.unpriced is
        'how many of its model calls have no known price; they are not in cost_usd'
    """)
    op.execute("""
        insert into boring.run_cost (run_id, model_calls, cost_usd, unpriced)
        select run_id, count(*), coalesce(sum(cost_usd), 0), count(*) filter (where cost_usd is null)
        from boring.span join boring.run using (run_id)
        where operation = 'chat' group by run_id
    """)
    op.execute("create index run_cost_known on boring.run_cost (cost_usd desc, run_id) where unpriced = 0")
    op.execute("create index run_cost_unknown on boring.run_cost (run_id) where unpriced > 0")
