import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evals.scripted_model import ScriptedModel
from tests.commands import environment
from tests.unit.app.approval_desk import SHOP, Desk, says


@pytest.fixture
async def desk(postgres_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "langgraph.json").write_text(
        json.dumps({"graphs": {"shop": "shop:graph", "till": "shop:till"}})
    )
    roles = {"clerk": ["carl"], "manager": ["ann", "bob", "eve"]}
    async with ScriptedModel(says) as model:
        env = environment(
            tmp_path,
            postgres_url,
            OPENAI_BASE_URL=model.base_url,
            OPENAI_API_KEY=model.api_key,
            BORING_MODEL="scripted",
            BORING_ROLES=json.dumps(roles),
        )
        desk = Desk(tmp_path, env, postgres_url, model)
        await desk.boring("ask", "Pay 500", "--graph", "shop", "--thread", "rent", code=5)
        yield desk
