"""Views that tell what runs cost, how long they take and how often they fail."""

from alembic import op

revision = "0021"
down_revision = "0020"

_SUMS = """
    count(*) as calls, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    sum(cost_usd) as cost_usd, count(*) filter (where cost_usd is null) as unpriced
"""
_COUNTED_SUMS = """
    sum(calls)::bigint as calls, sum(input_tokens)::bigint as input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    case when sum(calls) > sum(unpriced) then sum(cost_usd) end as cost_usd, sum(unpriced)::bigint as unpriced
"""
_COUNTED_DAYS = """
    from boring.span_count where period = 'day' and not every_tenant and operation = 'chat'
"""
_DAY = "(begins at time zone 'UTC')::date as day"


def upgrade() -> None:
    """Create the views, what they need to be fast, and the rules that separate tenants."""
    op.execute("""
        create index span_of_model_call on boring.span (started_at)
        include (run_id, thread_id, tenant, user_id, agent, model, input_tokens, output_tokens, cost_usd)
        where operation = 'chat'
    """)
    _create_performance()
    _create_model_calls()
    _create_costs_of_spans()
    _create_costs_of_counts()
    _separate_tenants()


def _view(name: str, query: str, told: str) -> None:
    op.execute(f"create view boring.{name} with (security_invoker = true) as {query}")
    op.execute(f"comment on view boring.{name} is '{told}'")


def _create_performance() -> None:
    """Create views of times and errors by day; the middle of a bucket is right to 5 %."""
    for name, tenant, rows in (
        ("performance", "", "every_tenant"),
        ("performance_by_tenant", "tenant, ", "not every_tenant"),
    ):
        quantiles = ", ".join(
            f"power(1.1, min(bucket) filter (where seen >= {share} * total) + 0.5)::float8 as {column}"
            for share, column in ((0.5, "p50_ms"), (0.95, "p95_ms"), (0.99, "p99_ms"))
        )
        _view(
            name,
            f"""
            select day, {tenant}operation, name, sum(calls)::bigint as calls, sum(errors)::bigint as errors,
                (sum(errors) / sum(calls))::double precision as error_rate, {quantiles}
            from (
                select {_DAY}, {tenant}operation, name, bucket, calls, errors,
                    sum(calls) over (partition by begins, {tenant}operation, name order by bucket) as seen,
                    sum(calls) over (partition by begins, {tenant}operation, name) as total
                from boring.span_count where period = 'day' and {rows}
            ) as counted
            group by day, {tenant}operation, name
            """,  # noqa: S608 - of names that stand here
            "Calls, errors and times of agents, steps, models and tools by day of UTC",
        )


def _create_model_calls() -> None:
    _view(
        "model_call",
        """
        select (started_at at time zone 'UTC')::date as day, started_at, tenant, user_id, agent, thread_id,
            run_id, trace_id, span_id, model, duration_ms, status, error_type, input_tokens, output_tokens,
            cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd
        from boring.span where operation = 'chat'
        """,
        "Each call of a model; cost_usd is null where its price is not known",
    )


def _create_costs_of_spans() -> None:
    for by, columns in (
        ("thread", "tenant, user_id, thread_id"),
        ("user", "day, tenant, user_id"),
        ("agent", "day, tenant, agent"),
    ):
        _view(
            f"cost_by_{by}",
            f"select {columns}, {_SUMS} from boring.model_call group by {columns}",  # noqa: S608 - see above
            "Model calls, tokens and US dollars of those of known price; unpriced counts the others",
        )
    _view(
        "cost_by_run",
        """
        select run_id, tenant, user_id, thread_id, min(started_at) as started_at,
            max(agent) filter (where parent_id is null) as agent,
            sum(duration_ms) filter (where operation = 'invoke_agent' and parent_id is null) as duration_ms,
            count(*) filter (where operation = 'chat') as calls,
            sum(input_tokens) filter (where operation = 'chat') as input_tokens,
            sum(output_tokens) filter (where operation = 'chat') as output_tokens,
            sum(cost_usd) as cost_usd,
            count(*) filter (where operation = 'chat' and cost_usd is null) as unpriced
        from boring.span where run_id is not null and operation in ('chat', 'invoke_agent')
        group by run_id, tenant, user_id, thread_id
        """,
        "What each run took, and how long it worked; unpriced counts model calls of unknown price",
    )


def _create_costs_of_counts() -> None:
    for by, columns in (("day", ""), ("tenant", "tenant, "), ("model", "tenant, name as model, ")):
        groups = columns.replace("name as ", "").rstrip(", ")
        _view(
            f"cost_by_{by}",
            f"select {_DAY}, {columns}{_COUNTED_SUMS} {_COUNTED_DAYS} group by day{groups and ', ' + groups}",
            "Model calls, tokens and US dollars of those of known price; unpriced counts the others",
        )


def _separate_tenants() -> None:
    """Let the role that is bound to a tenant, and its members, see what is of it; others what they may."""
    is_bound = "(select coalesce(pg_has_role(current_user, to_regrole('boring_app')::oid, 'member'), false))"
    for table, rule in (
        ("span", "tenant = current_setting('boring.tenant', true)"),
        ("span_count", "(not every_tenant and tenant = current_setting('boring.tenant', true))"),
    ):
        op.execute(f"alter table boring.{table} enable row level security")
        op.execute(f"create policy one_tenant on boring.{table} using (not {is_bound} or {rule})")
    op.execute("""
        do $$ begin
            if exists (select from pg_roles where rolname = 'boring_app') then
                grant select on boring.span, boring.span_count, boring.performance,
                    boring.performance_by_tenant, boring.model_call, boring.cost_by_run,
                    boring.cost_by_thread, boring.cost_by_user, boring.cost_by_agent, boring.cost_by_day,
                    boring.cost_by_tenant, boring.cost_by_model to boring_app;
            end if;
        end $$
    """)
