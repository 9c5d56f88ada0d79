"""What a person sees of a turn, and what a pipe gets of it."""

import json
import re
from collections.abc import AsyncIterable
from typing import Final, Protocol

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.text import Text

from app.events import Ended, Event, Step, Token, ToolProgress, Waiting
from app.json_output import json_text
from core.text import in_hanging_lines, in_one_line

_STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""All that Unicode calls controls, but for the tab and the end of a line; and what turns words around."""


class Screen(Protocol):
    """Shows the events of one turn."""

    async def show(self, events: AsyncIterable[Event], *, thread_id: str) -> Ended | Waiting:
        """Show all events and return the last."""
        ...


class PeopleScreen:
    """Steps as they happen, the answer as it is written, tokens and time in the last line."""

    def __init__(self, console: Console, *, graph: str | None = None) -> None:
        self._console = console
        self._graph = f" --graph {graph}" if graph else ""
        self._written = ""

    async def show(self, events: AsyncIterable[Event], *, thread_id: str) -> Ended | Waiting:
        """Show all events and return the last."""
        ended: Ended | Waiting | None = None
        with self._console.status("thinking") as status:
            async for event in events:
                self._one(event, status)
                ended = event if isinstance(event, Ended | Waiting) else ended
        if ended is None:
            raise RuntimeError("the turn yielded no Ended event")
        if isinstance(ended, Waiting):
            self._questions(ended, thread_id)
        else:
            self._rest(ended, thread_id)
        return ended

    def _questions(self, waiting: Waiting, thread_id: str) -> None:
        several = len(waiting.questions) > 1
        for one in waiting.questions:
            asked = Text.assemble("\n", ("? ", "yellow"), in_hanging_lines(one.text))
            self._console.print(asked, soft_wrap=True)
            if one.arguments:
                self._console.print(Text(f"  {in_hanging_lines(one.arguments)}", "dim"), soft_wrap=True)
            which = f" --question {one.id[:8]}" if several else ""
            for command in one.commands(thread_id, self._graph + which):
                self._console.print(Text(f"  {command}", "cyan"), soft_wrap=True)

    def _one(self, event: Event, status: Status) -> None:
        match event:
            case Token(text):
                status.stop()
                if not self._written:
                    self._console.print()
                self._written += text
                self._console.out(_steerless(text), end="", highlight=False)
            case Step(name="plan", what=what) if what and self._written:
                self._console.print("\n")  # words beside a tool call are not yet the answer
                self._written = ""
            case Step(name, what, seconds, agents) if not self._written:
                self._console.print(
                    Text.assemble(
                        ("  • ", "dim"),
                        (in_one_line("".join(f"{agent} > " for agent in agents)), "magenta"),
                        (f"{in_one_line(name):8}", "cyan"),
                        f" {in_one_line(what)} ".ljust(2),
                        (f"{seconds:.1f} s", "dim"),
                    ),
                    soft_wrap=True,
                )
                status.update("thinking")
            case ToolProgress(text):
                status.update(escape(in_one_line(text)))
            case _:
                pass

    def _rest(self, ended: Ended, thread_id: str) -> None:
        text = ended.answer["text"]
        rest = text.removeprefix(self._written) if self._written and text.startswith(self._written) else text
        if not self._written:
            self._console.print()
        elif rest == text:
            self._console.print("\n")
        self._console.out(_steerless(rest), highlight=False)
        turn = ended.turn
        self._console.print(
            f"\n[dim]{thread_id} · {turn['input_tokens']:,} tokens in, {turn['output_tokens']:,} out · "
            f"{turn['elapsed_s']:.1f} s[/dim]",
            soft_wrap=True,
            highlight=False,
        )


def _steerless(text: str) -> str:
    """Return `text`, which may have lines, with the characters that steer a terminal as their codes."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


class PipeScreen:
    """One JSON object, once the turn has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, events: AsyncIterable[Event], *, thread_id: str) -> Ended | Waiting:
        """Wait for the end of the turn and write it."""
        steps: list[dict[str, object]] = []
        async for event in events:
            if isinstance(event, Step):
                steps.append(_as_json(event))
            if isinstance(event, Ended | Waiting):
                told = (
                    as_json(event, thread_id, steps)
                    if isinstance(event, Ended)
                    else waiting_as_json(event, thread_id, steps)
                )
                self._console.out(json_text(told), highlight=False)
                return event
        raise RuntimeError("the turn yielded no Ended event")


def _as_json(step: Step) -> dict[str, object]:
    agents = {"agents": list(step.agents)} if step.agents else {}
    return {**agents, "step": step.name, "what": step.what, "seconds": round(step.seconds, 3)}


def as_json(ended: Ended, thread_id: str, steps: list[dict[str, object]]) -> dict[str, object]:
    """Return a turn as the command line's `--json` gives it."""
    turn = ended.turn
    return {
        "thread": thread_id,
        "run": turn["run_id"],
        "status": ended.answer["status"],
        "answer": ended.answer["text"],
        "sources": ended.answer["sources"],
        "input_tokens": turn["input_tokens"],
        "output_tokens": turn["output_tokens"],
        "seconds": turn["elapsed_s"],
        "steps": steps,
    }


def waiting_as_json(waiting: Waiting, thread_id: str, steps: list[dict[str, object]]) -> dict[str, object]:
    """Return a turn that waits for a person as the command line's `--json` gives it."""
    questions = [
        {
            "id": one.id,
            "kind": one.kind,
            "question": one.text,
            "arguments": json.loads(one.arguments or "null"),
            "answers": list(one.replies),
            **({"request": one.request} if one.request else {}),
        }
        for one in waiting.questions
    ]
    return {
        "thread": thread_id,
        "run": waiting.run_id,
        "status": "waiting",
        "questions": questions,
        "steps": steps,
    }
