"""What `boring doctor` and `boring stats` say of the places that spans go to."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import ScriptedModel
from observability import spans
from observability.tracing import current_tracing
from tests.commands import boring as command
from tests.trace_places import opened_place


def env(postgres_url: str, folder: Path, **more: str) -> dict[str, str]:
    base = {"PATH": os.environ["PATH"], "HOME": str(folder), "DATABASE_URL": postgres_url, "COLUMNS": "200"}
    return base | more


async def lost(postgres_url: str, folder: Path, url: str) -> None:
    """Run something whose spans the place refuses."""
    told: dict[str, Any] = {"traces": ("otlp",), "otlp_endpoint": url}
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=folder, cache_dir=folder, **told)
    async with opened_process(settings):
        tracing = await current_tracing()
        with spans.invocation(tracing.tracer, "clerk", {}, decide=tracing.decisions.put):
            pass


async def test_stats_tell_what_became_of_spans(postgres_url: str, tmp_path: Path) -> None:
    async with opened_place() as place:
        place.statuses = [400]
        await lost(postgres_url, tmp_path, place.url)
    _, out, _ = await command("stats", env=env(postgres_url, tmp_path))
    rows = [line.split() for line in out.splitlines()]
    assert ["otlp", "0", "0", "1", "HTTP", "400"] in rows
    assert ["the", "database", "1", "0", "0"] in rows


@pytest.mark.parametrize(
    ("status", "verdict", "said"),
    [(200, "ok", ""), (401, "fails", "otlp refuses the key"), (404, "fails", "does not exist")],
)
async def test_doctor_tells_whether_places_take_spans(
    postgres_url: str, tmp_path: Path, status: int, verdict: str, said: str
) -> None:
    async with ScriptedModel(dimensions=8) as model, opened_place() as place:
        place.statuses = [status]
        more = {
            "OPENAI_BASE_URL": model.base_url,
            "BORING_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": place.url,
        }
        _, out, _ = await command("doctor", "--json", env=env(postgres_url, tmp_path, **more))
        [request] = place.requests
    assert request.body == b""
    [check] = [one for one in json.loads(out) if one["name"] == "traces"]
    assert check["status"] == verdict
    assert f"spans go to the database, otlp ({place.url}/v1/traces)" in check["found"]
    assert said in check["advice"]


async def test_doctor_tells_that_langsmith_would_get_all_twice_and_what_was_lost(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        place.statuses = [400]
        await lost(postgres_url, tmp_path, place.url)
    for more, said in (
        ({}, "in 7 days 1 spans for otlp were given up, the last ones because: HTTP 400"),
        (
            {"BORING_TRACES": "langsmith", "LANGSMITH_TRACING": "true"},
            "LangSmith would get every trace twice",
        ),
    ):
        async with ScriptedModel(dimensions=8) as model:
            where = env(postgres_url, tmp_path, OPENAI_BASE_URL=model.base_url, **more)
            _, out, _ = await command("doctor", "--json", env=where)
        [check] = [one for one in json.loads(out) if one["name"] == "traces"]
        assert said in check["found"] + check["advice"]
