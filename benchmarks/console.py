"""How long the console's pages take with many spans in the store.

Two weeks of made runs of ten spans and two decisions each, half of them rated, and 5,000 requests for
approval of which 100 wait, on a Postgres of its own. Each page is asked for through the application, as a
browser would, without a network; the slowest median is the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from app.console.application import PLACE, pages, standing_alone
from app.console.guarding import LOOPBACK
from core.process import current_process, opened_process
from core.settings import Settings
from evals.crashes.place import embedded_database
from guardrails.approval import Demand, Level
from guardrails.chain import begun
from tools.inbox import as_json

SPANS: Final = 1_000_000
_SPANS_OF_RUN: Final = 10
_DAYS: Final = 14
_ROUNDS: Final = 15
_RUNS: Final = """
insert into boring.run (thread_id, run_id, graph, status, reason, question, context, started_at, finished_at,
    received_at)
select 'thread-' || n / 3, 'run-' || n, 'agent-' || mod(n, 5),
    (array['finished', 'finished', 'finished', 'stopped', 'failed', 'interrupted'])[1 + mod(n, 6)], null,
    'Question number ' || n || ' of somebody',
    jsonb_build_object('user', 'user-' || mod(n, 1000), 'tenant', 'tenant-' || mod(n, 20)),
    at, at + interval '5 s', at
from (select n, now() - (%(runs)s - n) * %(days)s * interval '1 day' / %(runs)s as at
    from generate_series(1, %(runs)s) as n) as made
"""
_MAKE_DAYS: Final = """
select boring.make_span_day((now() at time zone 'UTC')::date - back)
from generate_series(0, %(days)s) as back
"""
_MAKE_SPANS: Final = """
insert into boring.span (trace_id, span_id, parent_id, name, operation, agent, step, tool, model, run_id,
    thread_id, tenant, user_id, started_at, duration_ms, status, outcome, input_tokens, output_tokens,
    cost_usd)
select md5(run_id), substr(md5(run_id || part), 1, 16),
    case when part > 0 then substr(md5(run_id || 0), 1, 16) end,
    operation || ' ' || name, operation, graph,
    case operation when 'run_step' then name end, case operation when 'execute_tool' then name end,
    case operation when 'chat' then name end,
    run_id, thread_id, context ->> 'tenant', context ->> 'user',
    started_at + part * interval '200 ms', exp(4 + 2 * random()),
    case when random() < 0.03 then 'error' else 'ok' end, 'ok',
    case operation when 'chat' then 800 end, case operation when 'chat' then 60 end,
    case operation when 'chat' then round((0.0004 * exp(2 * random()))::numeric, 6)
        + case when mod(hashtext(run_id), 50) = 0 then null else 0 end end
from boring.run, lateral (
    select part, (array['invoke_agent', 'run_step', 'run_step', 'chat', 'run_step', 'execute_tool',
            'run_step', 'run_step', 'chat', 'run_step'])[part + 1] as operation,
        (array[graph, 'receive', 'plan', 'model-' || mod(length(run_id), 4), 'execute',
            'tool-' || mod(ascii(right(run_id, 1)) * part, 12), 'observe', 'plan', 'model-' || mod(part, 4),
            'respond'])[part + 1] as name
    from generate_series(0, 9) as part) as parts
"""
_COSTS: Final = """
insert into boring.run_cost (run_id, model_calls, cost_usd, unpriced)
select run_id, count(*), coalesce(sum(cost_usd), 0), count(*) filter (where cost_usd is null)
from boring.span where operation = 'chat' group by run_id
"""
_COUNT: Final = "insert into boring.span_count select * from boring.counted_spans('-infinity', 'infinity')"


_APPROVALS: Final = """
insert into boring.approval (id, key, thread_id, run_id, call_id, tool, arguments, arguments_hash,
    arguments_schema, requester, tenant, reason, chain, roles, status, settled_by, created_at, settled_at)
select gen_random_uuid(), run_id, thread_id, run_id, 'call', 'pay', '{"amount": 500}', md5(run_id), '{}',
    'user', 'tenant', 'amount is 500, over 100', %(chain)s, '{"clerk": ["carl"]}',
    case when settled then 'approved' else 'open' end, case when settled then 'carl' end,
    started_at, case when settled then finished_at end
from (select *, row_number() over (order by started_at desc) > 100 as settled from (
    select distinct on (thread_id) * from boring.run order by thread_id, started_at desc) as newest
    order by started_at desc limit 5000) as made
"""
_RATINGS: Final = """
insert into boring.feedback (tenant, user_id, run_id, thread_id, agent, key, score, comment, source, given_by)
select context ->> 'tenant', context ->> 'user', run_id, thread_id, graph, 'user_score',
    case when mod(abs(hashtext(run_id)), 8) < 2 then 0 else 1 end,
    case when mod(abs(hashtext(run_id)), 8) = 0 then 'Name the numbers.' end, 'user', context ->> 'user'
from boring.run where mod(hashtext(run_id), 2) = 0
"""
_SIGNALS: Final = """
insert into boring.feedback (tenant, user_id, run_id, thread_id, agent, key, source, signal, given_by)
select context ->> 'tenant', context ->> 'user', run_id, thread_id, graph, signal, 'signal', signal, 'signals'
from (select *, case when started_at < now() - interval '13 days' then 'rephrased'
    else 'abandoned' end as signal from boring.run) as made
where signal = 'rephrased' and mod(hashtext(run_id), 3) = 0
    or signal = 'abandoned' and mod(hashtext(run_id), 1000) = 0
"""
_DECISIONS: Final = """
insert into boring.decision (id, thread_id, run_id, step, kind, choice, candidates, reason, decided_by)
select gen_random_uuid(), thread_id, run_id, part, 'route', 'one', '["one", "two"]', 'It fits best.', 'model'
from boring.run, generate_series(1, 2) as part
"""


async def measure(
    database_url: str, screen: Console, *, spans: int, rounds: int = _ROUNDS
) -> dict[str, float]:
    """Return the median milliseconds of each page, and the slowest."""
    async with opened_process(Settings(database_url=SecretStr(database_url))) as process:
        await process.database()
        runs = spans // _SPANS_OF_RUN
        screen.print(f"Making {runs:,} runs of {_SPANS_OF_RUN} spans each", highlight=False)
        await _make(runs)
        transport = httpx.ASGITransport(app=standing_alone(pages(LOOPBACK)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
            medians = {name: await _median(browser, path, rounds) for name, path in _paths(runs).items()}
    table = Table("page", "median ms", box=None)
    for name, ms in medians.items():
        table.add_row(name, f"{ms:.0f}")
    screen.print(table)
    return {f"{name}_ms": ms for name, ms in medians.items()} | {"slowest_page_ms": max(medians.values())}


async def _make(runs: int) -> None:
    url = (await (await current_process()).database()).url
    values: dict[str, Any] = {"runs": runs, "days": _DAYS}
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("set work_mem = '256MB'")
        await connection.execute(_RUNS, values)
        await connection.execute(_MAKE_DAYS, values)
        await connection.execute(_MAKE_SPANS)
        await connection.execute(_COUNT)
        await connection.execute(_COSTS)
        chain = as_json(begun(Demand("amount is 500, over 100", (Level("clerk"),)), datetime.now(UTC)))
        await connection.execute(_APPROVALS, {"chain": Jsonb(chain)})
        await connection.execute(_DECISIONS)
        await connection.execute(_RATINGS)
        await connection.execute(_SIGNALS)
        await connection.execute("vacuum analyze")


def _paths(runs: int) -> dict[str, str]:
    return {
        "runs": "/runs",
        "runs_of_agent": "/runs?agent=agent-3&since=30d",
        "runs_of_user": "/runs?user=user-7",
        "runs_of_tenant": "/runs?tenant=tenant-7",
        "runs_failed": "/runs?status=failed",
        "runs_by_all": "/runs?user=user-7&tenant=tenant-7&agent=agent-2&status=failed",
        "runs_dearest": "/runs?by=dearest",
        "runs_dearest_of_tenant": "/runs?by=dearest&tenant=tenant-7&since=7d",
        "runs_dearest_of_user": "/runs?by=dearest&user=user-7&status=failed",
        "runs_dear": "/runs?least=0.0055&most=0.0059",
        "runs_not_so_dear": "/runs?least=0.001",
        "runs_too_dear": "/runs?least=100",
        "runs_of_unknown_cost": "/runs?cost=unknown",
        "runs_rated": "/runs?rating=rated",
        "runs_liked": "/runs?rating=liked",
        "runs_disliked_of_tenant": "/runs?rating=disliked&tenant=tenant-7",
        "runs_with_comment": "/runs?rating=comment&agent=agent-3&status=failed",
        "runs_with_signal": "/runs?rating=signal",
        "runs_rephrased": "/runs?rating=rephrased",
        "runs_abandoned": "/runs?rating=abandoned",
        "runs_of_edited_approvals": "/runs?rating=edited_approval",
        "runs_rephrased_of_user": "/runs?rating=rephrased&user=user-7",
        "runs_rephrased_dearest": "/runs?rating=rephrased&by=dearest",
        "runs_liked_by_nobody": "/runs?rating=liked&user=nobody",
        "runs_disliked_dearest": "/runs?rating=disliked&by=dearest",
        "runs_none": "/runs?user=nobody",
        "run": f"/runs/run-{runs // 2}",
        "approvals": "/approvals",
        "approvals_settled": "/approvals?all=1",
        "charts_1d": "/charts?since=1d",
        "charts_7d": "/charts",
        "charts_30d": "/charts?since=30d",
        "charts_of_tenant": "/charts?since=30d&tenant=tenant-7",
        "threads": "/threads",
        "breakers": "/breakers",
        "evals": "/evals?tenant=tenant-7",
        "memory": "/memory?user=user-7&tenant=tenant-7",
    }


async def _median(browser: httpx.AsyncClient, path: str, rounds: int) -> float:
    took: list[float] = []
    for _ in range(rounds + 2):
        started = time.perf_counter()
        answer = await browser.get(f"{PLACE}{path}")
        took.append(1000 * (time.perf_counter() - started))
        answer.raise_for_status()
    return statistics.median(took[2:])


def main() -> int:
    """Measure the pages and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=SPANS, help="how many there are in the store")
    given = parser.parse_args()
    with embedded_database() as url:
        figures = asyncio.run(measure(url, Console(), spans=given.spans))
    for name, value in figures.items():
        print(f"{name}={value:.4g}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
