"""Namespaces that are large enough for indexes, with as few memories as a test can make quickly."""

import random
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from core.settings import Settings
from evals.scripted_model import ScriptedModel

LARGE_FROM: Final = 100
"""More memories than this make a namespace a large one."""
NOTES: Final = ("notes",)


def crowded_settings(url: str, folder: Path, model: ScriptedModel) -> Settings:
    """Return the settings of a process in which `LARGE_FROM` memories are many."""
    return Settings(
        database_url=SecretStr(url),
        data_dir=folder,
        embedding_base_url=model.base_url,
        memory_exact_rows=LARGE_FROM,
    )


def text(number: int) -> str:
    """Return the text of one of many memories, or of a question that is like them: the same each time."""
    words = random.Random(number)  # noqa: S311 - no secret
    return " ".join(f"word{min(int(words.expovariate(0.02)), 400)}" for _ in range(9))
