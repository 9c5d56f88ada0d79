"""Names in a run's context that can't be stored are refused where they are given."""

import pytest

from core.context import RunContext, run_context


@pytest.mark.parametrize("given", [{"user": "u\0x"}, {"tenant": "half \ud83d"}])
def test_a_name_that_can_not_be_stored_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="can't be stored"):
        run_context(given)
    with pytest.raises(ValueError, match="can't be stored"):
        RunContext(**given)  # pyright: ignore[reportArgumentType] - names only
