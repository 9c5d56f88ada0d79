"""The command `boring`: what stands around every command, from its first moment on."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130, however early it comes."""
    try:
        from app.commands import run_command  # noqa: PLC0415 - its imports take a while, in which Ctrl-C may come

        sys.exit(run_command())
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; what was done is kept.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
