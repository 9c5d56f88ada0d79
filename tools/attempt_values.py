"""Values that a tool may alter and nobody else sees it: each attempt at a call gets copies of its own."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

_UNALTERABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})


def each_anew(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `values` so that each reading of one that can be altered gives a copy of its own.

    A second attempt, or a look whether the call happened, is about the call that was meant, whatever the tool
    has done to its arguments.
    """
    if all(type(value) in _UNALTERABLE for value in values.values()):
        return values
    return _Anew(values)


class _Anew(Mapping[str, Any]):
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        return value if type(value) in _UNALTERABLE else deepcopy(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
