"""The command `boring`: what stands around every command, from its first moment on."""

import gc
import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130, however early it comes."""
    try:
        from core.loading import uncollected  # noqa: PLC0415 - imports take a while, in which Ctrl-C may come

        with uncollected():
            from app.commands import run_command  # noqa: PLC0415 - as above
        gc.freeze()  # what was imported is no garbage
        sys.exit(run_command())
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; what was done is kept.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
