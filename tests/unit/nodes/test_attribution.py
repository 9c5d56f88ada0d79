from core.state import Source
from nodes.attribution import cited_sources

RECOVERY = Source(
    source="recovery.md", section="", text="A killed run goes on from its last checkpoint in Postgres."
)
TOOLS = Source(source="tools.md", section="", text="Every call of a tool leaves a row in the log.")


def test_the_passage_that_shares_the_words_of_the_answer_is_cited() -> None:
    assert cited_sources("It goes on from the last checkpoint in Postgres.", [TOOLS, RECOVERY]) == [
        "recovery.md"
    ]


def test_a_source_that_the_answer_names_is_cited() -> None:
    assert cited_sources("See tools.md.", [TOOLS, RECOVERY])[0] == "tools.md"


def test_nothing_is_cited_where_nothing_was_found_or_nothing_fits() -> None:
    assert cited_sources("Paris is the capital of France.", []) == []
    assert cited_sources("Paris is the capital of France.", [TOOLS, RECOVERY]) == []
    assert cited_sources("", [TOOLS]) == []
