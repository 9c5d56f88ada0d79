"""`boring rules`: what it lists, decides, rolls back, tries and learns."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import boring, environment

STEPS = """
from graphs.single import create_agent


def weigh(kilograms: float) -> str:
    '''Weigh a parcel.'''
    return f"{kilograms} kg"


graph = create_agent(tools=[weigh], name="parcels")
"""


def says(request: dict[str, Any]) -> Reply | str:
    """Weigh with a wrong and then a right call when asked to; answer others in metres only by a rule."""
    sent, newest = json.dumps(request), request["messages"][-1]
    if newest["role"] == "tool":
        right = Reply(tool_calls=(ToolCall("weigh", {"kilograms": 3}),))
        return right if "not valid" in str(newest["content"]) else "3 kg"
    if "Weigh" in str(newest["content"]):
        return Reply(tool_calls=(ToolCall("weigh", {"kilograms": "three"}),))
    return "3 metres" if "in metres" in sent else "9 feet"


class Shell:
    """A folder with an agent of its own, and `boring` in it."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env

    async def told(self, *words: str, code: int = 0) -> str:
        ended = await boring(*words, env=self.env, cwd=self.folder)
        assert ended.code == code, ended
        return ended.out + ended.err

    async def rules(self, *words: str, code: int = 0) -> Any:
        return json.loads(await self.told("rules", *words, "--json", code=code))


@pytest.fixture
async def shell(postgres_url: str, tmp_path: Path) -> AsyncIterator[Shell]:
    (tmp_path / "steps.py").write_text(STEPS)
    async with ScriptedModel(says) as model:
        env = environment(
            tmp_path,
            postgres_url,
            OPENAI_BASE_URL=model.base_url,
            OPENAI_API_KEY=model.api_key,
            BORING_MODEL="scripted",
        )
        yield Shell(tmp_path, env)


async def test_rules_are_proposed_decided_and_rolled_back_with_one_command_each(shell: Shell) -> None:
    assert "No such rules." in await shell.told("rules")
    ids: list[str] = []
    for text in ("Answer in yards.", "Answer in metres."):
        made = await shell.rules("propose", "units", text, "--by", "ann")
        ids.append(made["id"])
        assert made["status"] == "proposed"
        said = await shell.told("rules", "activate", ids[-1][:8], "--by", "bob", "--why", "agreed")
        assert "is active" in said
    told = await shell.told("ask", "How high is it?", "--graph", "steps:graph")
    assert "3 metres" in told
    (active,) = await shell.rules("--status", "active")
    assert (active["text"], active["decided_by"], active["replaced"]) == ("Answer in metres.", "bob", ids[0])
    said = await shell.told("rules", "rollback", "units", "--by", "cleo")
    assert "Version 2 of units is retired; version 1 is active again." in said
    assert "9 feet" in await shell.told("ask", "How high is it?", "--graph", "steps:graph")
    listed = (await shell.told("rules")).splitlines()
    assert listed[0] == "rule\tstatus\tkey\tversion\tfor\ttimes\ttext"
    assert [line.split("\t")[1:4] for line in listed[1:]] == [
        ["active", "units", "1"],
        ["retired", "units", "2"],
    ]
    shown = await shell.rules("show", ids[0])
    assert [(one["to_status"], one["who"]) for one in shown["events"]] == [
        ("proposed", "ann"),
        ("active", "bob"),
        ("retired", "bob"),
        ("active", "cleo"),
    ]
    assert "active by bob (agreed)" in await shell.told("rules", "show", ids[0][:6])
    await shell.told("rules", "retire", ids[0])
    said = await shell.told("rules", "rollback", "units", code=2)
    assert "nothing to roll back" in said


async def test_a_decision_that_does_not_count_is_told(shell: Shell) -> None:
    assert "There is no rule 'abc'" in await shell.told("rules", "activate", "abc", code=2)
    made = await shell.rules("propose", "units", "Be \x1b[31mred.", "--user", "ada", "--tenant", "acme")
    assert "There is no rule" in await shell.told("rules", "reject", made["id"], code=2)
    await shell.told("rules", "reject", made["id"], "--tenant", "acme")
    assert "would have to be" in await shell.told("rules", "activate", made["id"], "--tenant", "acme", code=2)
    assert "\x1b[31m" not in await shell.told("rules", "--tenant", "acme")
    assert "\x1b[31m" not in await shell.told("rules", "show", made["id"], "--tenant", "acme")
    assert await shell.rules("--tenant", "acme", "--user", "") == []


async def test_a_rule_is_tried_on_a_file_of_cases(shell: Shell) -> None:
    cases = [{"question": f"How high is {n}?", "facts": [["metres"]], "source": None} for n in range(10)]
    (shell.folder / "cases.json").write_text(json.dumps(cases))
    made = await shell.rules("propose", "units", "Answer in metres.")
    options = ("--cases", "cases.json", "--graph", "steps:graph")
    told = await shell.told("rules", "trial", made["id"], *options)
    assert "is proposed" in told
    assert "better: of 10 cases 10 won, 0 lost, p = 0.000977" in told
    tried = await shell.rules("trial", made["id"], *options, "--activation", "eval")
    assert (tried["status"], tried["trial"]["won"]) == ("active", 10)
    (shell.folder / "cases.json").write_text("[{}]")
    assert "can't be read" in await shell.told("rules", "trial", made["id"], *options, code=2)


async def test_rules_are_learnt_from_repairs_and_from_feedback(shell: Shell) -> None:
    for number in range(2):
        await shell.told("ask", "Weigh it", "--graph", "steps:graph", "--thread", f"t{number}")
    assert await shell.rules("learn") == []
    (learnt,) = await shell.rules("learn", "--times", "2", "--since", "1h")
    assert (learnt["key"], learnt["status"], learnt["times"]) == ("repair.weigh.kilograms", "proposed", 2)
    (run, _) = json.loads(await shell.told("threads", "--json"))
    said = await shell.told(
        "rules", "feedback", run["run_id"], "--comment", "Say it in grams.", "--by", "ann"
    )
    assert "is proposed" in said
    (found,) = await shell.rules("--agent", "parcels")
    assert (found["text"], found["source"], found["proposed_by"]) == ("Say it in grams.", "feedback", "ann")


async def test_nothing_of_langgraph_is_imported_to_list_rules() -> None:
    code = "import sys, app.rulebook; print([one for one in sys.modules if one == 'langgraph'])"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=Path(__file__).parents[3], stdout=asyncio.subprocess.PIPE
    )
    assert (await child.communicate())[0] == b"[]\n"
