"""Every error of this project, sorted by who can act on it.

- `ConfigurationError`: the operator, at start-up.
- `ToolError`: the model, which reads it as an observation and can react.
- `InputError`: the user, who asked for something that can't be worked on.
- `TransientError`: nobody; policy retries it.

A run that has to end is no error: it ends in `respond` with a reason (`core.state.Stop`). A developer's
own mistake stays `TypeError` or `ValueError`.
"""


class BoringError(Exception):
    """Any error that this project raises on purpose.

    The message says what happened, the value that caused it, what was expected, and what to do next.
    """


class ConfigurationError(BoringError):
    """The operator has to change something before this can work."""


class AssetError(ConfigurationError):
    """A file that the embedded parts need can't be had, or is not what it should be."""


class DatabaseError(ConfigurationError):
    """The database can't be reached, can't be started, or lacks what is needed."""


class InputError(BoringError):
    """What the user handed in can't be worked on, such as an empty question."""


class ThreadBusyError(InputError):
    """Another worker is running the thread, or has taken it over."""


class ToolError(BoringError):
    """A tool call failed in a way the model can react to; its message becomes the observation."""


class TransientError(BoringError):
    """A failure of the network or of a service that may pass; retried where the effect allows."""
