"""What was said of each run, in short, so that runs are found by it without a look at who said what."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Create the table with what was said so far, and what keeps it up to date; it holds nobody's words."""
    op.execute("""
        create table boring.run_rating (
            run_id text primary key references boring.run on delete cascade,
            tenant text not null,
            agent text not null,
            began_at timestamptz not null,
            score double precision,
            people int not null default 0,
            comments int not null default 0,
            signals text[] not null default '{}'
        )
    """)
    op.execute("""
        comment on column boring.run_rating.score is
        'the mean of what people gave; signals have none and are in none'
    """)
    _count_said()
    _follow_feedback()
    _count_what_is_there()
    op.execute("create index run_rating_by_time on boring.run_rating (began_at)")
    for name, condition in (
        ("rated", "score is not null"),
        ("liked", "score >= 0.5"),
        ("disliked", "score < 0.5"),
        ("commented", "comments > 0"),
        ("signalled", "signals <> '{}'"),
        ("rephrased", "'rephrased' = any(signals)"),
        ("abandoned", "'abandoned' = any(signals)"),
        ("edited", "'edited_approval' = any(signals)"),
    ):
        op.execute(f"""
            create index run_rating_{name} on boring.run_rating (began_at desc, run_id) where {condition}
        """)


def _count_said() -> None:
    """Create the function that counts anew: the row is held first, so that the last to count sees all."""
    op.execute("""
        create function boring.count_said(of_run text) returns void
        language plpgsql as $$ begin
            insert into boring.run_rating (run_id, tenant, agent, began_at)
            select run_id, coalesce(context ->> 'tenant', 'local'), graph, started_at
            from boring.run where run_id = of_run
            on conflict (run_id) do update set agent = excluded.agent;
            update boring.run_rating as kept set score = said.score, people = said.people,
                comments = said.comments, signals = said.signals
            from (
                select avg(feedback.score) filter (where source <> 'signal') as score,
                    count(*) filter (where source <> 'signal') as people,
                    count(*) filter (where source <> 'signal' and comment is not null) as comments,
                    coalesce(array_agg(signal order by created_at) filter (where signal is not null), '{}')
                        as signals
                from boring.feedback join boring.run_rating using (run_id, tenant) where run_id = of_run
            ) as said
            where kept.run_id = of_run;
            delete from boring.run_rating where run_id = of_run and people = 0 and signals = '{}';
        end $$
    """)


def _follow_feedback() -> None:
    """Who writes feedback belongs to one tenant and may not write what is for all: the owner does."""
    op.execute("""
        create function boring.follow_feedback() returns trigger
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ begin
            perform boring.count_said(case when tg_op = 'DELETE' then old.run_id else new.run_id end);
            return null;
        end $$
    """)
    op.execute("""
        create trigger count_said after insert or update or delete on boring.feedback
        for each row execute function boring.follow_feedback()
    """)


def _count_what_is_there() -> None:
    """Count for all tenants, whose rows their separation hides from an owner who is no superuser."""
    op.execute("alter table boring.feedback no force row level security")
    op.execute("""
        select boring.count_said(run_id) from (select distinct run_id from boring.feedback) as said
    """)
    op.execute("alter table boring.feedback force row level security")
