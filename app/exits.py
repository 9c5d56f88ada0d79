"""Exit codes of the command line, and which error leads to which."""

from core.errors import BoringError, ConfigurationError, InputError

ANSWERED = 0
FAILED = 1
BAD_INPUT = 2
STOPPED = 3
MISCONFIGURED = 4
WAITING = 5
INTERRUPTED = 130

EXPLAINED = (
    "Exit codes: 0 answered; 1 failed; 2 the command or the question can't be worked on; 3 the run was "
    "stopped by a limit; 4 something has to be set up (see `boring doctor`); 5 the run waits for a person's "
    "answer; 130 ended by Ctrl-C."
)


def code_of(error: BoringError) -> int:
    """Return the exit code for an error."""
    if isinstance(error, ConfigurationError):
        return MISCONFIGURED
    return BAD_INPUT if isinstance(error, InputError) else FAILED


def code_of_status(status: str) -> int:
    """Return the exit code for how a run ended (`core.state.StopReason`)."""
    if status == "answered":
        return ANSWERED
    if status == "refused":
        return BAD_INPUT
    return FAILED if status == "failed" else STOPPED
