"""Real questions and answers: how well each ranking puts a question's own answer first."""

import asyncio
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from langgraph.store.base import PutOp, SearchOp

from core.process import current_process
from core.tenants import as_tenant
from memory.items import Origin
from memory.store import MemoryStore
from memory.store_models import Asked, question_for
from memory.store_search import Ranking, found

PACKAGE: Final = "zaragoza-construction-faq==1.2.1"
SET: Final = "Swedish Construction FAQ by Zaragoza AB, English edition (CC BY 4.0)"
RANKINGS: Final[Sequence[Ranking]] = ("both", "meaning", "words")
BEST: Final = 10
_HASH: Final = "sha256:716a1999dd5ad8494c6a4e47d3510f017aa767ea9e55d3b348b0ad70b0e8d3d7"
_TENANT: Final = "questions"
_PLACE: Final = ("answers",)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, and the answer that was written for it."""

    question: str
    answer: str


async def fetched_pairs() -> list[Pair]:
    """Return the questions and answers of the package, by pip, from the index that it is set up for.

    Raises:
        CalledProcessError: pip can't fetch it.
    """
    text = await asyncio.to_thread(_fetched)
    return [Pair(one["q"], one["a"]) for one in json.loads(text)["questions"]]


def _fetched() -> str:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "requirements.txt")
        wanted.write_text(f"{PACKAGE} --hash={_HASH}\n")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--target", folder, "--requirement", wanted], check=True)
        return Path(folder, "zaragoza_construction_faq", "data", "faq-en.json").read_text("utf-8")


async def gains(pairs: Sequence[Pair]) -> Mapping[Ranking, list[float]]:
    """Return nDCG@10 of every question under each ranking: 1 / log2(1 + the place of its own answer).

    Only answers are stored, not their questions.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with one
    relevant document a question.
    """
    store = MemoryStore(origin=Origin(_TENANT, "ada"), fields=("text",))
    await store.abatch([PutOp(_PLACE, str(n), {"text": pair.answer}) for n, pair in enumerate(pairs)])
    by_ranking: dict[Ranking, list[float]] = {ranking: [] for ranking in RANKINGS}
    for number, pair in enumerate(pairs):
        asked = await question_for(_TENANT, pair.question)
        for ranking in RANKINGS:
            keys = await _keys(pair.question, asked, ranking)
            place = keys.index(str(number)) + 1 if str(number) in keys else math.inf
            by_ranking[ranking].append(1 / math.log2(1 + place))
    return by_ranking


async def _keys(question: str, asked: Asked, ranking: Ranking) -> list[str]:
    database = await (await current_process()).database()
    op = SearchOp(_PLACE, query=question, limit=BEST)
    async with as_tenant(database, _TENANT) as connection:
        how = asked if ranking != "words" else Asked(asked.model, None)
        rows = await found(connection, op, how, ranking=ranking)
    return [row["key"] for row in rows]
