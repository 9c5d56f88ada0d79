from memory.chunks import MAX_CHARS, chunks_of

TEXT = "# Guide\n\nIntro.\n\n## Ports\n\nThe server listens on port 2024.\n\n### Change\n\nUse --port.\n"


def test_a_passage_knows_its_headings() -> None:
    chunks = chunks_of(TEXT, markdown=True)
    assert [(chunk.section, chunk.text) for chunk in chunks] == [
        ("Guide", "Intro."),
        ("Guide > Ports", "The server listens on port 2024."),
        ("Guide > Ports > Change", "Use --port."),
    ]
    assert chunks[1].searchable == "Guide > Ports\nThe server listens on port 2024."


def test_plain_text_has_no_headings() -> None:
    assert [chunk.section for chunk in chunks_of("# not a heading", markdown=False)] == [""]


def test_a_long_section_is_cut_to_passages_that_hold_all_of_it() -> None:
    words = [f"word{n}" for n in range(600)]
    chunks = chunks_of(" ".join(words), markdown=False)
    assert all(len(chunk.text) <= MAX_CHARS for chunk in chunks)
    assert set(" ".join(chunk.text for chunk in chunks).split()) == set(words)


def test_nothing_gives_no_passages() -> None:
    assert chunks_of("  \n\n", markdown=True) == []
