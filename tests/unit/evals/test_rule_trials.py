"""Trials of rules: what helps becomes active where the policy says so, what does not help never does."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from core.errors import InputError
from core.process import Process, opened_process
from core.settings import Settings
from evals.questions import Question
from evals.rule_trials import Compared, try_rule
from evals.scripted_model import ScriptedModel
from graphs.single import create_agent
from memory.rules import Rule, RuleRefusedError, Scope
from memory.rules_changing import activate, reject, retire
from memory.rules_listing import Wanted, rules
from nodes.remembering import MemoryPolicy
from tests.unit.memory.rulebook import active, events, proposed, told

CASES = [Question(question=f"How high is tower {n}?", facts=[["metres"]], source=None) for n in range(10)]
HELPS, HARMS, NOTHING = "Answer in metres.", "Answer in feet.", "Be kind."


def speaks(request: dict[str, Any]) -> str:
    """Answer half of the towers right, all of them as a rule says."""
    sent = json.dumps(request)
    if HELPS in sent:
        return "3 metres"
    return "9 feet" if HARMS in sent or any(f"tower {n}?" in sent for n in range(5, 10)) else "3 metres"


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path)) as opened:
        yield opened


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(speaks) as model:
        yield model


class Watched:
    """A case that tells when it has been asked."""

    def __init__(self, question: str) -> None:
        self.question, self.is_asked = question, asyncio.Event()

    def is_right(self, answer: str) -> bool:
        self.is_asked.set()
        return "metres" in answer


def agent_of(model: ScriptedModel, name: str = "towers", **options: Any) -> Any:
    chat = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model="s", max_retries=0)
    return create_agent(llm=chat, name=name, **options)


async def tried(rule: Rule, model: ScriptedModel, **options: Any) -> Any:
    options = {"agent": agent_of(model), "tenant": "acme", "by": "ann", "activation": "eval", **options}
    return await try_rule(rule.id, options.pop("cases", CASES), **options)


async def test_a_rule_that_helps_becomes_active_with_its_result_on_record(
    process: Process, model: ScriptedModel
) -> None:
    database = await process.database()
    old = await active(database, NOTHING)
    rule = await proposed(database, HELPS)
    trial = await tried(rule, model)
    assert trial.result == Compared(won=5, lost=0, both=5, neither=0)
    assert (trial.rule.status, trial.rule.replaced) == ("active", old.id)
    held = trial.rule.trial
    assert held is not None
    assert (held["won"], held["lost"], held["better"], held["against"]) == (5, 0, True, str(old.id))
    assert held["p_value"] == pytest.approx(1 / 32)
    assert [(one[1], one[2]) for one in await events(database, rule)] == [
        (None, "proposed"),
        ("proposed", "on_trial"),
        ("on_trial", "active"),
    ]
    assert await told(database) == [HELPS]
    assert len(model.requests) == 20


@pytest.mark.parametrize(
    ("text", "result"),
    [(HARMS, Compared(won=0, lost=5, both=0, neither=5)), (NOTHING, Compared(0, 0, 5, 5))],
)
async def test_a_rule_that_harms_or_makes_no_difference_stays_proposed(
    process: Process, model: ScriptedModel, text: str, result: Compared
) -> None:
    rule = await proposed(await process.database(), text)
    trial = await tried(rule, model)
    assert trial.result == result
    assert (trial.rule.status, trial.rule.activated_at) == ("proposed", None)
    assert trial.rule.why is not None
    assert trial.rule.why.startswith("not better: of 10 cases")
    assert await told(await process.database()) == []


async def test_a_rule_that_helps_waits_for_a_person_unless_the_policy_says_eval(
    process: Process, model: ScriptedModel
) -> None:
    database = await process.database()
    rule = await proposed(database, HELPS)
    await tried(rule, model, activation=None)
    trial = await tried(rule, model, activation=None)  # what was tried can be tried again
    assert (trial.result.is_better, trial.rule.status) == (True, "proposed")
    assert (await activate(database, "acme", trial.rule.id, by="bob")).trial == trial.rule.trial
    await retire(database, "acme", trial.rule.id, by="bob")
    settings = process.settings.model_copy(update={"rules_activation": "eval"})
    async with opened_process(settings) as opened:
        rule = await proposed(await opened.database(), HELPS, scope=Scope("acme", user="ada"))
        assert (await tried(rule, model, activation=None)).rule.status == "active"


async def test_of_one_key_one_version_is_on_trial_and_a_decision_meanwhile_counts(
    process: Process, model: ScriptedModel
) -> None:
    database = await process.database()
    rule, other = await proposed(database, HELPS), await proposed(database, NOTHING)
    case = Watched("How high is tower 1?")
    begun = asyncio.create_task(tried(rule, model, cases=[case] * 10))
    await case.is_asked.wait()
    with pytest.raises(RuleRefusedError, match="is on trial"):
        await tried(other, model)
    await reject(database, "acme", rule.id, by="bob")
    with pytest.raises(RuleRefusedError, match="retired by bob"):
        await begun
    assert await told(database) == []


async def test_a_version_that_beat_another_one_than_is_active_now_waits(
    process: Process, model: ScriptedModel
) -> None:
    database = await process.database()
    rule, other = await proposed(database, HELPS), await proposed(database, NOTHING)
    case = Watched("How high is tower 9?")
    begun = asyncio.create_task(tried(rule, model, cases=[case] * 10))
    await case.is_asked.wait()
    await activate(database, "acme", other.id, by="bob")
    trial = await begun
    assert (trial.result.won, trial.rule.status) == (10, "proposed")
    assert "another version" in str(trial.rule.why)
    assert await told(database) == [NOTHING]


async def test_a_trial_that_fails_or_is_cancelled_leaves_the_version_proposed(
    process: Process, model: ScriptedModel
) -> None:
    database = await process.database()
    rule = await proposed(database, HELPS)

    class Failing:
        question = "How high is tower 1?"

        def is_right(self, answer: str) -> bool:
            raise ZeroDivisionError(answer)

    with pytest.raises(ZeroDivisionError):
        await tried(rule, model, cases=[Failing()] * 10)
    (rule,) = await rules(database, "acme", Wanted())
    assert (rule.status, rule.why) == ("proposed", "the trial was cut off: ZeroDivisionError")
    assert (await tried(rule, model)).rule.status == "active"


async def test_a_trial_needs_cases_and_the_agent_that_the_rule_is_for(
    process: Process, model: ScriptedModel
) -> None:
    rule = await proposed(await process.database(), HELPS, scope=Scope("acme", agent="desk"))
    with pytest.raises(InputError, match="9 cases; a trial needs 10"):
        await tried(rule, model, cases=CASES[:9])
    with pytest.raises(InputError, match="for the agent 'desk', and would be tried with 'towers'"):
        await tried(rule, model)
    assert (await tried(rule, model, agent=agent_of(model, "desk"))).rule.status == "active"


async def test_questions_of_a_trial_propose_nothing(process: Process, model: ScriptedModel) -> None:
    database = await process.database()
    stated = [CASES[0].model_copy(update={"question": "Always answer in yards, please."})] * 10
    await tried(await proposed(database, NOTHING), model, cases=stated)
    assert len(await rules(database, "acme", Wanted())) == 1


@pytest.mark.parametrize(
    ("won", "lost", "p", "better"),
    [
        (4, 0, 1 / 16, False),
        (5, 0, 1 / 32, True),
        (9, 1, 11 / 1024, True),
        (0, 0, 1.0, False),
        (8, 3, 232 / 2048, False),
    ],
)
def test_wins_have_to_be_more_than_chance(won: int, lost: int, p: float, better: bool) -> None:  # noqa: FBT001 - a case
    result = Compared(won, lost, 3, 2)
    assert (result.p_value, result.is_better, result.cases) == (pytest.approx(p), better, won + lost + 5)


async def test_nothing_is_learnt_of_the_user_from_the_questions_of_a_trial(
    process: Process, model: ScriptedModel
) -> None:
    database = await process.database()
    rule = await proposed(database, HELPS)
    await tried(rule, model, agent=agent_of(model, memory=MemoryPolicy(recall=False)))
    async with database.pool.connection() as connection:
        assert await (await connection.execute("select run_id from boring.extraction")).fetchall() == []
