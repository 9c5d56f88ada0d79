"""A connection to Postgres that nobody closes is told with the test and the place that opened it.

It is found when garbage is collected, mostly in a test that has nothing to do with it.
"""

import os
import traceback
import warnings
from typing import Any

from psycopg import AsyncConnection

_FRAMES = 16


def name_openers() -> None:
    """Have connections know who opened them."""
    made: Any = AsyncConnection.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self.opened = f"{os.environ.get('PYTEST_CURRENT_TEST')}, at:\n" + "".join(
            traceback.format_stack(limit=_FRAMES)
        )

    connection: Any = AsyncConnection
    connection.__init__, connection.__del__ = init, tell_unclosed


def tell_unclosed(connection: Any) -> None:
    """Warn, unless the connection is closed or of a pool."""
    if hasattr(connection, "opened") and not connection.closed and not hasattr(connection, "_pool"):
        warnings.warn(
            f"{connection!r} was never closed. It was opened in {connection.opened}",
            ResourceWarning,
            stacklevel=2,
        )
