"""How many real questions the configured model answers right, with the source cited.

The questions stand in `evals/questions.json`, the documents in `docs/`.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from langchain_core.messages import HumanMessage
from rich.console import Console
from rich.table import Table

from app.downloads import download_bars
from core.context import RunContext
from core.models import configured_model
from core.process import opened_process
from evals.questions import Question, load_questions
from graphs.single import Agent, create_single
from memory.documents import document_store
from memory.indexing import index_path

ROOT = Path(__file__).resolve().parent.parent
TENANT = "benchmark-answers"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one question."""

    question: str
    right: bool
    cited: bool
    seconds: float
    status: str
    answer: str
    sources: list[str]


async def ask(agent: Agent, question: Question) -> Result:
    """Ask one question in a thread of its own."""
    begun = time.perf_counter()
    state = await agent.ainvoke(
        {"messages": [HumanMessage(question.question)]}, context=RunContext(tenant=TENANT)
    )
    answer = state["answer"]
    return Result(
        question=question.question,
        right=answer["status"] == "answered" and question.is_right(answer["text"].split("\n\nSources:")[0]),
        cited=question.is_cited(answer["sources"]),
        seconds=round(time.perf_counter() - begun, 1),
        status=answer["status"],
        answer=answer["text"],
        sources=answer["sources"],
    )


async def run(limit: int | None, console: Console) -> tuple[str, list[Result]]:
    """Ask the questions one after the other; return the model's name and the results."""
    with download_bars(Console(stderr=True)) as progress:
        async with opened_process(progress=progress):
            store = await document_store()
            await index_path(store, ROOT / "docs", tenant=TENANT, base=ROOT)
            agent = create_single()
            name = (await configured_model()()).profile.name
            results: list[Result] = []
            for question in load_questions()[:limit]:
                results.append(await ask(agent, question))
                _show(console, results[-1])
            return name, results


def _show(console: Console, result: Result) -> None:
    mark = "[green]right[/green]" if result.right else "[red]wrong[/red]"
    console.print(f"{mark} {result.seconds:5.1f} s  {result.question}", highlight=False)
    console.print(f"        [dim]{' '.join(result.answer.split())[:300]}[/dim]", highlight=False)


def main() -> None:
    """Print the table and, last, the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="ask only the first so many questions")
    arguments = parser.parse_args()
    console = Console(width=120)
    model, results = asyncio.run(run(arguments.limit, console))
    table = Table("asked", "right", "cited", "seconds", title=f"Answers of {model}")
    for result in results:
        table.add_row(
            result.question,
            "yes" if result.right else "no",
            "yes" if result.cited else "no",
            f"{result.seconds:.1f}",
        )
    console.print(table)
    both = sum(result.right and result.cited for result in results)
    seconds = sorted(result.seconds for result in results)
    figures = {
        "model": model,
        "asked": len(results),
        "right": sum(result.right for result in results),
        "cited": sum(result.cited for result in results),
        "right_and_cited": both,
        "median_seconds": seconds[len(seconds) // 2],
        "results": [asdict(result) for result in results],
    }
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    main()
