"""The command `boring`: what stands around every command, from its first moment on."""

import gc
import io
import sys

_NEW_OBJECTS = 50_000
"""After how many a search for garbage begins."""


def _take_all_text() -> None:
    """Write codes for characters that the terminal's encoding has not, and keep bytes that it can't read."""
    for stream, errors in ((sys.stdout, "backslashreplace"), (sys.stdin, "surrogateescape")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130, however early it comes."""
    try:
        _take_all_text()
        # Imports make many objects, which stay: looking for garbage among them as often as Python does by
        # itself takes a quarter of their time.
        gc.set_threshold(_NEW_OBJECTS)
        from app.commands import run_command  # noqa: PLC0415 - its imports take a while, in which Ctrl-C may come

        gc.freeze()
        sys.exit(run_command())
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; what was done is kept.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
