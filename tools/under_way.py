"""The calls that this process is making: equal ones that begin meanwhile need not doubt them."""

from collections.abc import Generator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from core.database import Pool


class UnderWay:
    """The keys of the calls that are being made and recorded in one database.

    Attributes:
        keys: of the calls on their way: each is here from before its intent until after its outcome.
        begun: how many calls there have been; where it did not grow, `keys` has gained nobody.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.begun = 0

    @contextmanager
    def making(self, key: str) -> Generator[None]:
        """Make a call, from its intent to its outcome."""
        self.keys.add(key)
        self.begun += 1
        try:
            yield
        finally:
            self.keys.discard(key)


_of_pools: WeakKeyDictionary[Pool, UnderWay] = WeakKeyDictionary()


def under_way(pool: Pool) -> UnderWay:
    """Return the calls that are recorded over a pool's connections."""
    return _of_pools.setdefault(pool, UnderWay())
