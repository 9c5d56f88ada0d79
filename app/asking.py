"""The commands that talk to an agent: ask, chat, resume. What they need is imported when they run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.input_text import text_of
from app.pending import check_thread, new_request, new_thread
from app.questions import Reply, Said, account_name, reply_of
from app.running import run
from core.context import RunContext
from core.errors import InputError
from core.text import storable_text

MAX_QUESTION_BYTES = 10_000_000
"""Most bytes that are read from standard input; what a model takes is far less."""

ThreadOption = Annotated[
    str | None, typer.Option("--thread", "-t", help="Name of the conversation to begin or to go on with.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON and nothing else, for pipes.")]
IndexOption = Annotated[
    list[Path] | None,
    typer.Option("--index", "-i", help="File or folder to read into the knowledge base first; repeatable."),
]

GraphOption = Annotated[
    str | None,
    typer.Option(
        "--graph",
        "-g",
        help="Another agent: `router`, `hierarchical`, or one of your own, by its module `shop.agent:graph`"
        " or its file `./shop.py:graph`.",
    ),
]


def ask(  # noqa: PLR0913 - each is an option of the command line
    question: Annotated[str, typer.Argument(help="What you want to know; - reads it from standard input.")],
    *,
    thread: ThreadOption = None,
    index: IndexOption = None,
    max_steps: Annotated[int, typer.Option(min=1, help="Most times the agent may plan.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens, input and output together.")] = 60_000,
    max_time: Annotated[float, typer.Option(min=0.1, help="Most seconds of work.")] = 600.0,
    user: Annotated[
        str, typer.Option(help="Who asks; approves none of the calls that others have to agree to.")
    ] = "local",
    graph: GraphOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask one question and get an answer with its sources.

    The agent searches the knowledge base (see `boring index`), computes, and tells the time. Its steps show
    as they happen; the last line tells the thread, the tokens and the time.
    """
    if not user.strip():
        raise InputError(f"{user!r} is no name for who asks. Leave --user out, or name somebody.")
    context = RunContext(
        user=storable_text(user).strip(), max_steps=max_steps, max_tokens=max_tokens, max_time_s=max_time
    )
    text = _question(question)
    request = new_request(text, check_thread(thread) if thread else new_thread(), context)
    from app.session import answer  # noqa: PLC0415

    work = answer(request, index or [], graph=graph, as_json=as_json)
    raise typer.Exit(run(work, go_on_with=f"boring resume {request.thread_id}"))


def chat(*, thread: ThreadOption = None, index: IndexOption = None, graph: GraphOption = None) -> None:
    """Talk with the agent, turn after turn, in one thread. An empty line or Ctrl-D ends it."""
    from app.session import talk  # noqa: PLC0415

    raise typer.Exit(talk(check_thread(thread) if thread else new_thread(), index or [], graph=graph))


def resume(  # noqa: PLR0913 - each is an option of the command line
    thread: Annotated[str, typer.Argument(help="The thread whose run was cut off, or waits for an answer.")],
    *,
    answer: Annotated[
        str | None,
        typer.Option(
            help=f"The answer to the run's question: {', '.join(Reply)}, or JSON as in the documentation."
        ),
    ] = None,
    words: Annotated[
        str, typer.Option("--with", help="What the call returned, if it happened; why, if it is rejected.")
    ] = "",
    question: Annotated[
        str | None, typer.Option(help="The question that is answered, where there are several.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Who answers. Unless said: the account you are logged in with.")
    ] = None,
    graph: GraphOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run whose process was killed, from its last finished step, or that waits for an answer.

    A run that has ended already is not run again: its answer is shown once more.
    """
    if answer is None and (words or question or by):
        raise InputError("--with, --question and --by belong to an answer; say which by --answer.")
    if by is not None and not by.strip():
        raise InputError(f"{by!r} is no name for who answers. Leave --by out, or name somebody.")
    said = None if answer is None else Said(reply_of(answer), words, question, by or account_name())
    if said is not None and not isinstance(said.reply, Reply) and (words or (by and "by" in said.reply)):
        raise InputError("--answer is JSON, and says itself what --with and --by would say.")
    from app.session import go_on  # noqa: PLC0415

    work = go_on(check_thread(thread), said, graph=graph, as_json=as_json)
    raise typer.Exit(run(work, go_on_with=f"boring resume {thread}"))


def _question(argument: str) -> str:
    text = argument
    if argument == "-":
        raw = sys.stdin.buffer.read(MAX_QUESTION_BYTES + 1)
        if len(raw) > MAX_QUESTION_BYTES:
            raise InputError(
                f"Standard input holds more than {MAX_QUESTION_BYTES:,} bytes, too long for a question. "
                "Put the text into a file and add it with `boring index FILE`."
            )
        text = text_of(raw)
    if not text.strip():
        raise InputError('The question is empty. Ask something, such as: boring ask "What is 17 * 23?"')
    return storable_text(text).strip()
