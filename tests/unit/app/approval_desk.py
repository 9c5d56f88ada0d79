"""What the tests of `boring approvals` share: a folder with agents of its own, and a run that waits."""

import json
from pathlib import Path
from typing import Any

from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import boring

SHOP = """
from pathlib import Path

from graphs.single import create_agent
from guardrails.approval import Level, over
from tools.contract import contract


def pay(amount: int) -> str:
    '''Pay an amount.'''
    with (Path(__file__).parent / "ledger").open("a") as ledger:
        ledger.write(f"{amount}\\n")
    return f"paid {amount}"


levels = [Level("clerk"), Level("manager", quorum=2, expires_s=3600)]
graph = create_agent(tools=[contract(pay, approval=over("amount", 100, levels=levels))], name="shop")
till = create_agent(tools=[contract(pay, approval=over("amount", 100))], name="till")
"""


def says(request: dict[str, Any]) -> Reply | str:
    """Pay when the user has just said so; else be done."""
    newest = request["messages"][-1]
    wants = newest["role"] == "user" and "Pay" in json.dumps(newest["content"])
    return Reply(tool_calls=(ToolCall("pay", {"amount": 500}),)) if wants else "It is paid."


class Desk:
    """A folder with an agent of its own, and `boring` in it."""

    def __init__(self, folder: Path, env: dict[str, str], url: str, model: ScriptedModel) -> None:
        self.folder, self.env, self.url, self.model = folder, env, url, model

    async def boring(self, *words: str, code: int = 0) -> str:
        ended = await boring(*words, env=self.env, cwd=self.folder)
        assert ended.code == code, ended
        return ended.out + ended.err

    async def told(self, *words: str, code: int = 0) -> Any:
        return json.loads(await self.boring("approvals", *words, "--json", code=code))

    def paid(self) -> list[str]:
        ledger = self.folder / "ledger"
        return ledger.read_text().split() if ledger.exists() else []

    def asked(self) -> int:
        """Return how often the model was asked."""
        return len(self.model.requests)
