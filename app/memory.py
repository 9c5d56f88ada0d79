"""The commands about long-term memory: list, search, history, remember, forget, and so on."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.asking import JsonOption
from app.exits import ANSWERED, FAILED
from app.json_output import write_json
from app.questions import account_name
from app.running import run
from core.context import RunContext
from core.errors import InputError
from core.text import storable_text

if TYPE_CHECKING:
    from memory.items import Origin

memory = typer.Typer(help="Lists, searches and forgets what is known of users.", no_args_is_help=True)

TenantOption = Annotated[str, typer.Option(help="Whose users.")]
UserOption = Annotated[str, typer.Option(help="Of whom.")]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="Most memories to show.")]
SubjectArgument = Annotated[str, typer.Argument(help="What it is about; `boring memory list` tells.")]
_DEFAULT = RunContext()


@memory.command("list")
def list_memories(
    *,
    tenant: TenantOption = _DEFAULT.tenant,
    user: UserOption = _DEFAULT.user,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List what is known of a user, the newest first."""
    from app.memories import listed, print_memories  # noqa: PLC0415 - loaded when it runs

    print_memories(run(listed(_origin(tenant, user), limit)), as_json=as_json)


@memory.command()
def search(
    words: Annotated[str, typer.Argument(help="A question, or words.")],
    *,
    tenant: TenantOption = _DEFAULT.tenant,
    user: UserOption = _DEFAULT.user,
    limit: LimitOption = 5,
    as_json: JsonOption = False,
) -> None:
    """Search what is known of a user, by meaning and by words, as agents do."""
    from app.memories import print_memories, searched  # noqa: PLC0415 - loaded when it runs

    print_memories(run(searched(_words(words), _origin(tenant, user), limit)), as_json=as_json)


@memory.command()
def history(
    subject: SubjectArgument,
    *,
    tenant: TenantOption = _DEFAULT.tenant,
    user: UserOption = _DEFAULT.user,
    as_json: JsonOption = False,
) -> None:
    """Show every version of a fact, the oldest first: from when until when it held, and where it is from."""
    from app.memories import print_history, versions  # noqa: PLC0415 - loaded when it runs

    print_history(run(versions(_words(subject), _origin(tenant, user))), as_json=as_json)


@memory.command()
def remember(
    subject: SubjectArgument,
    text: Annotated[str, typer.Argument(help="The fact, as one sentence.")],
    *,
    tenant: TenantOption = _DEFAULT.tenant,
    user: UserOption = _DEFAULT.user,
    as_json: JsonOption = False,
) -> None:
    """Remember a fact about a user, in place of what was known about the subject."""
    from app.memories import print_memories, remembered  # noqa: PLC0415 - loaded when it runs

    held = run(remembered(_words(subject), _words(text), _origin(tenant, user)))
    print_memories([held], as_json=as_json)


@memory.command()
def forget(
    subject: SubjectArgument,
    *,
    tenant: TenantOption = _DEFAULT.tenant,
    user: UserOption = _DEFAULT.user,
    as_json: JsonOption = False,
) -> None:
    """Forget a fact about a user, with its whole history."""
    from app.memories import forgotten  # noqa: PLC0415 - loaded when it runs

    number = run(forgotten(_words(subject), _origin(tenant, user)))
    if as_json:
        write_json({"forgotten": number})
    else:
        typer.echo(f"{number} versions forgotten." if number else "Nothing was known about it.")


@memory.command("forget-user")
def forget_user(
    user: Annotated[str, typer.Argument(help="Who is forgotten.")],
    *,
    tenant: TenantOption = _DEFAULT.tenant,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and forget nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget a user wholly: memories, threads and all that is kept of them. Counts what is left: zero.

    A thread goes as a whole, also where others have asked in it. Documents are the tenant's, and stay.
    """
    from app.memories import print_forgotten, wholly_forgotten  # noqa: PLC0415 - loaded when it runs

    origin = _origin(tenant, user)
    if not dry_run and not yes:
        asked = f"Forget {origin.user!r} of {origin.tenant!r}? This can't be undone."
        typer.confirm(asked, abort=True, err=True)
    done = run(wholly_forgotten(origin, by=account_name(), dry_run=dry_run))
    if as_json:
        write_json({**asdict(done), "dry_run": dry_run})
    else:
        print_forgotten(done, dry_run=dry_run)
    raise typer.Exit(ANSWERED if dry_run or done.is_whole else FAILED)


@memory.command()
def learn(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only turns of this tenant.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Also turns that were given up.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Learn from the turns that are still in the queue, by the configured model.

    Agents learn by themselves after their answers; this does what they had no time for, and tells which turns
    were given up.
    """
    from app.memories import learnt, print_learnt  # noqa: PLC0415 - loaded when it runs

    done, without = run(learnt(tenant, failed=failed))
    if as_json:
        write_json([asdict(one) for one in done])
    else:
        print_learnt(done, without, Console(soft_wrap=True))
    raise typer.Exit(FAILED if any(one.error for one in done) else ANSWERED)


@memory.command()
def reembed(
    *,
    tenant: Annotated[str, typer.Option(help="Whose memories and documents.")] = _DEFAULT.tenant,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have a tenant's memories and documents embedded by the model that the settings name now.

    Searches go by the old vectors until the new ones are all there. Stopped at any moment, it goes on there.
    Documents need no files for it: their passages are stored.
    """
    from app.memories import reembedded  # noqa: PLC0415 - loaded when it runs

    memories, documents = run(reembedded(_name(tenant, "tenant"), quiet=quiet))
    if as_json:
        write_json({"embedded": memories, "documents": documents})
    else:
        typer.echo(f"{memories} memories and {documents} documents embedded anew.")


def _origin(tenant: str, user: str) -> "Origin":
    from memory.items import Origin  # noqa: PLC0415 - loaded when it runs

    return Origin(_name(tenant, "tenant"), _name(user, "user"), trusted=True)


def _name(given: str, what: str) -> str:
    name = storable_text(given).strip()
    if not name:
        raise InputError(f"{given!r} is no name of a {what}. Leave it out, or name one.")
    return name


def _words(given: str) -> str:
    if not given.strip():
        raise InputError(f"{given!r} holds no words. Give some.")
    return storable_text(given).strip()
