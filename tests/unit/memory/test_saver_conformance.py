from collections.abc import AsyncGenerator

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver


async def test_the_public_conformance_suite_passes_in_full(postgres_url: str) -> None:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):

        @checkpointer_test(name="Saver")
        async def saver() -> AsyncGenerator[Saver]:
            yield await postgres_checkpointer()

        report = await validate(saver)
    assert report.results.keys() == {one.value for one in Capability}
    for name, result in report.results.items():
        assert (name, result.failures) == (name, [])
        assert result.detected
        assert result.tests_passed
    assert report.conformance_level() == "FULL"
