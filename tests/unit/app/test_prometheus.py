"""A real Prometheus scrapes a process and answers what an operator asks."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.metrics import shown_metrics
from core.prices import Price
from core.process import opened_process
from core.settings import Settings
from observability import spans
from observability.costs import Tokens
from observability.metrics import process_metrics
from observability.tracing import Tracing, current_tracing

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: boring
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def prometheus() -> str:
    """Return the command, installed where CI may install Debian's packages."""
    if shutil.which("prometheus") is None and os.environ.get("CI") and os.geteuid() == 0:
        install = ["apt-get", "install", "-y", "--no-install-recommends", "prometheus"]
        if shutil.which("apt-get"):
            subprocess.run(install, check=False, capture_output=True, timeout=100)
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("Prometheus is not installed (apt-get install prometheus)")
    return found


@asynccontextmanager
async def scraping(command: str, port: int, folder: Path) -> AsyncGenerator[httpx.AsyncClient]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=port))
    words = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
    server = await asyncio.create_subprocess_exec(
        command, *words, f"--web.listen-address={address}", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            yield client
    finally:
        server.terminate()
        await server.wait()


async def answered(client: httpx.AsyncClient, query: str) -> dict[str, float]:
    """Return what PromQL says, by the name in it, as soon as it says something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            reply = await client.get("/api/v1/query", params={"query": query})
            found: list[Any] = reply.json()["data"]["result"] if reply.is_success else []
        except httpx.TransportError:
            found = []
        if found:
            return {
                one["metric"].get("name") or one["metric"].get("model", ""): float(one["value"][1])
                for one in found
            }
        await asyncio.sleep(0.2)
    raise AssertionError(f"Prometheus knows nothing of {query}")


def run(tracing: Tracing) -> None:
    with spans.invocation(tracing.tracer, "clerk", {}, decide=tracing.decisions.put) as one:
        with spans.step_span(one, "plan", {}), spans.model_span("m", "models.example:1") as spoken:
            spoken.tokens = Tokens(100, 20)
        for outcome in ("ok", "timeout"):
            with spans.step_span(one, "execute", {}), spans.tool_span("pay", "c") as call:
                spans.end_of_call(call, outcome)


@pytest.mark.slow
async def test_prometheus_answers_what_is_slow_what_fails_and_what_it_costs(
    postgres_url: str, tmp_path: Path
) -> None:
    command = prometheus()
    settings = Settings(
        database_url=SecretStr(postgres_url),
        data_dir=tmp_path,
        cache_dir=tmp_path,
        prices={"m": Price(input=1, output=10)},
        metrics_port=0,
    )
    process_metrics.cache_clear()
    async with opened_process(settings), shown_metrics("127.0.0.1", 0) as port:
        tracing = await current_tracing()
        run(tracing)
        await tracing.flush()
        async with scraping(command, port, tmp_path) as client:
            buckets = 'boring_duration_seconds_bucket{operation="run_step"}'
            slow = await answered(client, f"histogram_quantile(0.95, sum by (name, le) ({buckets}))")
            assert slow.keys() == {"plan", "execute"}
            assert 0 < slow["plan"] < 1
            failed = await answered(client, 'sum by (name) (boring_errors_total{operation="execute_tool"})')
            assert failed == {"pay": 1}
            assert await answered(client, "sum by (model) (boring_cost_usd_total)") == {
                "m": pytest.approx(0.0003)
            }
            assert await answered(client, 'boring_tokens_total{kind="input"}') == {"m": 100}
    process_metrics.cache_clear()
