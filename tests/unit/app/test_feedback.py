"""`boring feedback`, and what it shows with runs, traces and rules."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from app.feedback_cases import RatedRun, corrected
from core.context import RunContext
from core.database import Database
from core.process import opened_process
from core.settings import Settings
from evals.questions import Question, load_questions
from evals.scripted_model import ScriptedModel
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from observability.signals import FOUND_BY
from tests.commands import boring as command

ANSWERS = {"Capital of France?": "It is Lyon.", "6 * 7?": "It is 42."}


class Shop:
    def __init__(self, env: dict[str, str], runs: list[str]) -> None:
        self.env = env
        self.wrong, self.right = runs

    async def boring(self, *words: str, code: int = 0) -> str:
        ended = await command(*words, env=self.env)
        assert ended.code == code, ended
        return ended.out if code == 0 else ended.err

    async def told(self, *words: str) -> Any:
        return json.loads(await self.boring(*words, "--json"))

    async def has_signal(self, run_id: str, database: Database) -> None:
        """Note a signal of a run, newer than what was said of it."""
        async with database.pool.connection() as connection:
            await connection.execute(
                "insert into boring.feedback (tenant, user_id, run_id, thread_id, agent, key, source, signal,"
                " given_by) values ('local', 'local', %s, 't1', 'clerk', 'edited_approval', 'signal',"
                " 'edited_approval', %s)",
                (run_id, FOUND_BY),
            )


@pytest.fixture
async def shop(postgres_url: str, tmp_path: Path) -> Shop:
    """Two runs of one thread, the first of which answers wrongly."""
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    runs: list[str] = []
    async with ScriptedModel(list(ANSWERS.values())) as model, opened_process(settings):
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted")
        agent = create_agent(llm=llm, name="clerk", checkpointer=await postgres_checkpointer())
        for question in ANSWERS:
            asked: Any = {"messages": [("user", question)]}
            place: Any = {"configurable": {"thread_id": "t1"}}
            ended = await agent.ainvoke(asked, place, context=RunContext(user="local"))
            runs.append(ended["turn"]["run_id"])
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": postgres_url, "COLUMNS": "250"}
    return Shop(env, runs)


async def test_a_run_is_rated_and_shown_with_it(shop: Shop) -> None:
    out = await shop.boring("feedback", shop.right[:13], "--up")
    assert f"{shop.right}: thumbs up, by local" in out
    await shop.boring("feedback", shop.wrong, "--score", "0.3", "--by", "ann", "--key", "tone")
    assert "ann said: 0.3 (tone)" in await shop.boring("trace", shop.wrong)
    assert "local said: thumbs up" in await shop.boring("why", shop.right)
    ratings = {one["run_id"]: one["rating"] for one in await shop.told("runs")}
    assert ratings[shop.right] == {"score": 1.0, "people": 1, "signals": []}
    assert ratings[shop.wrong]["score"] == 0.3
    assert "rating" in await shop.boring("runs")
    [newest, _] = await shop.told("feedback")
    assert (newest["given_by"], newest["source"], newest["key"]) == ("ann", "operator", "tone")
    assert [one["run_id"] for one in await shop.told("feedback", "list", "--most", "0.5")] == [shop.wrong]
    assert await shop.told("feedback", "list", "--tenant", "acme") == []
    assert "ann" in await shop.boring("feedback")


async def test_a_bad_rating_with_a_comment_proposes_a_rule_and_a_comment_on_a_rule_is_a_rating(
    shop: Shop,
) -> None:
    rated = await shop.told("feedback", shop.wrong, "--down", "--comment", "Look it up in a document.")
    [rule] = await shop.told("rules")
    assert (rule["id"], rule["text"], rule["source"]) == (
        rated["rule"],
        "Look it up in a document.",
        "feedback",
    )
    await shop.boring("feedback", shop.right, "--up", "--comment", "Fine.")
    assert len(await shop.told("rules")) == 1
    await shop.boring("rules", "feedback", shop.right, "--comment", "Say it in words.", "--by", "ann")
    shown = await shop.told("feedback", "show", shop.right)
    [said] = [one for one in shown["feedback"] if one["given_by"] == "ann"]
    assert (said["score"], said["comment"]) == (0.0, "Say it in words.")
    assert len(await shop.told("rules")) == 2


async def test_a_signal_is_told_as_one_and_as_nothing_that_a_person_says(
    shop: Shop, database: Database
) -> None:
    said = ("--by", "boring", "--comment", "edited_approval")
    for key in ("user_score", "signal", "edited_approval"):
        await shop.boring("feedback", shop.wrong, *said, "--key", key)
    await shop.has_signal(shop.right, database)
    for words in (("why",), ("trace",), ("feedback", "show")):
        of_person = await shop.boring(*words, shop.wrong)
        assert "boring" in of_person
        assert "signal: edited_approval" not in of_person
        of_signal = await shop.boring(*words, shop.right)
        assert re.search(r"signal: edited_approval$", of_signal, re.MULTILINE), words
        assert "boring" not in of_signal, words
    cells = [line.split("\t")[3:] for line in (await shop.boring("feedback", "list")).splitlines()]
    assert ["edited_approval", "signal: edited_approval", "", ""] in cells
    assert ["edited_approval", "comment", "boring", "edited_approval"] in cells


async def test_a_comment_is_shown_whatever_it_says(shop: Shop) -> None:
    await shop.boring("feedback", shop.right, "--comment", "comment")
    assert "local said: comment" in await shop.boring("why", shop.right)


async def test_what_can_not_be_meant_is_refused(shop: Shop) -> None:
    for words, why in (
        ((shop.right, "--up", "--down"), "Give one of them"),
        ((shop.right, "--score", "2"), "The score is 2.0. Give one from 0"),
        ((shop.right,), "Nothing is said of the run"),
        (("nonsense", "--up"), "There is no run 'nonsense'"),
    ):
        assert why in await shop.boring("feedback", *words, code=2)
    assert await shop.told("feedback") == []


async def test_rated_runs_are_exported_with_their_answers_and_corrected_ones_as_cases(
    shop: Shop, tmp_path: Path
) -> None:
    await shop.boring("feedback", shop.right, "--up")
    await shop.boring("feedback", shop.wrong, "--down", "--correction", "Paris (FR)")
    cases = tmp_path / "cases.json"
    told = json.loads(await shop.boring("feedback", "export", "--cases", str(cases)))
    rows = {(one["question"], one["answer"], one["score"], one["correction"], one["source"]) for one in told}
    assert rows == {
        ("6 * 7?", "It is 42.", 1.0, None, "user"),
        ("Capital of France?", "It is Lyon.", 0.0, "Paris (FR)", "user"),
    }
    [case] = load_questions(cases)
    assert case.question == "Capital of France?"
    assert case.is_right("It is Paris  (FR).")
    assert not case.is_right("It is Lyon.")


async def test_the_limit_of_an_export_counts_what_is_exported_and_tells_of_more(
    shop: Shop, database: Database
) -> None:
    await shop.boring("feedback", shop.wrong, "--down")
    await shop.boring("feedback", shop.right, "--up")
    await shop.has_signal(shop.right, database)
    for limit, runs in (("1", [shop.right]), ("2", [shop.right, shop.wrong])):
        ended = await command("feedback", "export", "--limit", limit, env=shop.env)
        assert ended.code == 0
        assert [one["run_id"] for one in json.loads(ended.out)] == runs
        assert ("more" in ended.err) is (limit == "1"), ended.err


def test_an_answer_is_right_that_holds_a_correction_as_words_of_their_own() -> None:
    said: Any = {"run_id": "r", "agent": "clerk", "key": "user_score", "answer": "?", "score": 0.0}
    said |= {"comment": None, "given_by": "ann", "source": "user", "question": "What?"}
    for correction, right, wrong in (
        (
            "17",
            ("It is 17.", "17", "(17)", "17, or so", "x=17"),
            ("117", "170", "17.5", "3.17", "17,000", "x17"),
        ),
        ("no", ("No, thanks", "_no_", "**no**"), ("I know not", "nose", "no_one", "say_no")),
        ("C++", ("In C++.", "C++17", "C++"), ("ABC++", "C")),
        ("(FR)", ("Paris (FR).", "Paris(FR)"), ("FR",)),
        ("$5", ("$5", "US$5", "for $5."), ("$50", "$5.50")),
        ("-5", ("-5", "is -5."), ("3-5", "-50")),
        ("café", ("Le Café.",), ("cafés", "décafé")),
        ("cafe", ("Le cafe.",), ("cafe\u0301", "e\u0301cafe", "e\u0301\u0301cafe")),
        ("да", ("Да!",), ("вода", "даль")),
        ("काम", ("काम है।", "काम।"), ("कामा",)),
        ("巴黎", ("法国的首都是巴黎。", "在巴黎A区"), ("北京",)),
        ("Paris", ("首都是Paris。", "Paris는"), ("Parisian",)),
        ("New  York", ("in New\nYork.",), ("New Yorker",)),
    ):
        [case] = corrected([RatedRun(**said, correction=correction)])
        question = Question.model_validate(case)
        assert [one for one in right if not question.is_right(one)] == [], correction
        assert [one for one in wrong if question.is_right(one)] == [], correction


def test_what_a_peer_takes_for_right_is_in_no_case() -> None:
    said: Any = {"run_id": "r", "agent": "clerk", "key": "user_score", "answer": "It is Lyon."}
    said |= {"score": 0.0, "comment": None}

    def by(who: str, question: str, correction: str) -> RatedRun:
        return RatedRun(**said, question=question, correction=correction, given_by=who, source=who)

    found = [
        by("operator", "Capital of France?", "Paris"),
        by("peer", "Capital of France?", "Nice"),
        by("user", "6 * 7?", "42"),
        by("peer", "7 * 7?", "50"),
    ]
    cases = {case["question"]: Question.model_validate(case) for case in corrected(found)}
    assert list(cases) == ["Capital of France?", "6 * 7?"]
    assert cases["6 * 7?"].is_right("42")
    assert [cases["Capital of France?"].is_right(answer) for answer in ("Paris", "Nice")] == [True, False]
