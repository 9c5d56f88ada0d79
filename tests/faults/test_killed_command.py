"""The command line, killed in the middle of an effect: nothing is done again, and a person is asked."""

import asyncio
import json
import os
import pwd
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import Ended, boring, environment

AGENT = '''
import asyncio
import os

from graphs.single import create_agent
from guardrails.approval import over


async def pay(amount: int) -> str:
    """Pay an amount."""
    with open("ledger", "a") as ledger:
        ledger.write(f"{amount}\\n")
    await asyncio.sleep(float(os.environ["PAY_TAKES_S"]))
    return f"paid {amount}"


from tools.contract import contract

graph = create_agent(tools=[contract(pay, approval=over("amount", 100))], name="shop")
'''
GRAPH = "shop:graph"


def paying(request: dict[str, Any]) -> Reply:
    results = [message["content"] for message in request["messages"] if message["role"] == "tool"]
    if results:
        return Reply(text=f"Result: {results[-1]}.")
    amount = int(str(request["messages"][-1]["content"]).split()[-1])
    return Reply(tool_calls=(ToolCall("pay", {"amount": amount}),))


class Shop:
    """A folder with an agent of its own, driven by the command line."""

    def __init__(self, command: Sequence[str], folder: Path, env: dict[str, str]) -> None:
        self._command = command
        self.folder = folder
        self.env = env
        (folder / "shop.py").write_text(AGENT)

    async def start(self, *arguments: str, takes_s: float) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            "--graph",
            GRAPH,
            "--json",
            env={**self.env, "PAY_TAKES_S": str(takes_s)},
            cwd=self.folder,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        ended = await self.ended(*arguments)
        assert ended.out, ended.err
        return ended.code, json.loads(ended.out)

    async def ended(self, *arguments: str) -> Ended:
        env = {**self.env, "PAY_TAKES_S": "0"}
        return await boring(*arguments, "--graph", GRAPH, "--json", env=env, cwd=self.folder)

    def paid(self) -> list[str]:
        ledger = self.folder / "ledger"
        return ledger.read_text().split() if ledger.exists() else []

    async def killed_while_paying(self, thread: str) -> None:
        running = await self.start("ask", "Pay 42", "--thread", thread, takes_s=60)
        async with asyncio.timeout(60):
            while not self.paid():  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        await running.communicate()


@pytest.fixture
async def shop(command: Sequence[str], postgres_url: str, tmp_path: Path) -> Any:
    async with ScriptedModel(paying) as model:
        env = environment(
            tmp_path,
            postgres_url,
            PYTHONPATH=str(Path(__file__).parents[2]),
            OPENAI_BASE_URL=model.base_url,
            OPENAI_API_KEY=model.api_key,
        )
        yield Shop(command, tmp_path, env)


@pytest.mark.timeout(180)
async def test_a_command_killed_in_mid_payment_asks_a_person_and_pays_once(shop: Shop) -> None:
    await shop.killed_while_paying("t")
    code, told = await shop.run("resume", "t")
    assert (code, told["status"]) == (5, "waiting")
    assert told["questions"][0]["question"].startswith("Did the call of pay happen?")
    assert told["questions"][0]["arguments"] == {"amount": 42}
    code, told = await shop.run("resume", "t", "--answer", "happened", "--with", "paid, says the bank")
    assert (code, told["answer"]) == (0, "Result: paid, says the bank.")
    assert shop.paid() == ["42"]
    code, told = await shop.run("resume", "t")
    assert (code, told["answer"]) == (0, "Result: paid, says the bank.")


@pytest.mark.timeout(180)
async def test_a_person_who_knows_that_it_did_not_happen_has_it_done(shop: Shop) -> None:
    await shop.killed_while_paying("t")
    (shop.folder / "ledger").unlink()
    await shop.run("resume", "t")
    code, told = await shop.run("resume", "t", "--answer", "not-happened")
    assert (code, told["answer"]) == (0, "Result: paid 42.")
    assert shop.paid() == ["42"]


@pytest.mark.timeout(180)
async def test_a_person_can_stop_the_run_in_doubt(shop: Shop) -> None:
    await shop.killed_while_paying("t")
    await shop.run("resume", "t")
    code, told = await shop.run("resume", "t", "--answer", "stop")
    assert (code, told["status"]) == (3, "denied")
    assert shop.paid() == ["42"]


@pytest.mark.timeout(180)
async def test_a_call_over_the_limit_waits_for_approval_and_a_rejection_reaches_the_model(shop: Shop) -> None:
    code, told = await shop.run("ask", "Pay 500", "--thread", "t")
    assert (code, told["questions"][0]["answers"]) == (5, ["approve", "reject"])
    wrong = await shop.ended("resume", "t", "--answer", "happened")
    assert (wrong.code, "is no answer to" in wrong.err) == (2, True)
    code, told = await shop.run("resume", "t", "--answer", "reject", "--with", "too much", "--by", "bob")
    assert (code, told["answer"]) == (0, "Result: bob rejected this call of pay: too much.")
    assert shop.paid() == []


@pytest.mark.timeout(180)
async def test_who_approves_is_who_is_logged_in_and_not_who_asked(shop: Shop, postgres_url: str) -> None:
    await shop.run("ask", "Pay 500", "--thread", "t")
    code, told = await shop.run("resume", "t", "--answer", "approve")
    assert (code, told["answer"], shop.paid()) == (0, "Result: paid 500.", ["500"])
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        answered = await (await connection.execute("select answered_by from boring.question")).fetchall()
        asked = await (await connection.execute("select context->>'user' from boring.run")).fetchall()
    assert answered == [(pwd.getpwuid(os.geteuid()).pw_name,)]
    assert asked == [("local",)]


@pytest.mark.parametrize("without", [("--by", "bob"), ("--with", "words"), ("--answer", "stop", "--by", " ")])
async def test_who_answers_without_an_answer_or_a_name_is_told(shop: Shop, without: tuple[str, ...]) -> None:
    code, told = await shop.run("resume", "t", *without)
    assert (code, "--by" in told["error"]) == (2, True)
