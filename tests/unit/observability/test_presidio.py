"""Presidio looks for the kinds that the settings name. Where it is not installed, naming one is refused."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.errors import ConfigurationError
from core.process import opened_process
from core.settings import Settings
from observability.contents import kept_calls
from observability.presidio import presidio
from observability.redactor import redacted
from observability.tracing import current_tracing

INSTALLED = find_spec("presidio_analyzer") is not None
needs_presidio = pytest.mark.skipif(not INSTALLED, reason="Presidio is an extra, and not installed here")
FISCAL_CODE = "RSSMRA85T10A562S"


@pytest.mark.skipif(INSTALLED, reason="Presidio is installed here")
async def test_without_presidio_its_kinds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"boring-agents\[presidio\]"):
        async with presidio(["IT_FISCAL_CODE"]):
            pass


async def test_nothing_is_loaded_where_no_kind_is_named() -> None:
    async with presidio([]):
        assert redacted("ada@example.org") == "[EMAIL]"


@needs_presidio
async def test_named_kinds_are_found_beside_our_own_as_long_as_a_process_runs() -> None:
    told = f"Mario ({FISCAL_CODE}, mario@example.org) paid 17."
    assert FISCAL_CODE in redacted(told)
    async with presidio(["IT_FISCAL_CODE", "DE_TAX_ID"]):
        assert redacted(told) == "Mario ([IT_FISCAL_CODE], [EMAIL]) paid 17."
        assert redacted(redacted(told)) == redacted(told)
        (row,) = await kept_calls(
            [{"arguments": {"who": FISCAL_CODE}, "result": None, "error": told}], "redacted"
        )
    assert row["arguments"] == {"who": "[IT_FISCAL_CODE]"}
    assert FISCAL_CODE not in row["error"]
    assert FISCAL_CODE in redacted(told)


@needs_presidio
async def test_a_weak_pattern_counts_behind_a_word_of_its_context() -> None:
    async with presidio(["US_BANK_NUMBER"]):
        assert redacted("order 945456787654 came") == "order 945456787654 came"
        assert redacted("my bank account 945456787654") == "my bank account [US_BANK_NUMBER]"


@needs_presidio
async def test_a_kind_that_presidio_does_not_know_is_refused_with_those_it_knows() -> None:
    with pytest.raises(ConfigurationError, match=r"names SHOE_SIZE, .* It has .*IT_FISCAL_CODE"):
        async with presidio(["SHOE_SIZE"]):
            pass


@pytest.mark.skipif(INSTALLED, reason="Presidio is installed here")
async def test_no_run_begins_where_less_would_be_redacted_than_was_asked_for(
    postgres_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=SecretStr(postgres_url),
        data_dir=tmp_path,
        cache_dir=tmp_path,
        presidio=("IT_FISCAL_CODE",),
    )
    async with opened_process(settings):
        with pytest.raises(ConfigurationError, match="Presidio is not installed"):
            await current_tracing()
