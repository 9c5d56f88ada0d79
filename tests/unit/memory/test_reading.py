"""What is read of HTML and PDF: structure is kept, and nothing broken or hostile ends the indexing."""

from collections.abc import Callable

import pytest

from memory.reading import passages_of
from memory.reading_pdf import pages_of_pdf
from tests.unit.memory.pdfs import bomb, endless, pdf

PAGE = """<html><head><title>Manual of Zig</title><script>track("script words")</script></head><body>
<nav><a href="/">Home</a> <a href="/x">Contact</a></nav>{}<p>Before all: greet.</p>
<h1>Guide</h1><p>Intro &amp; words.</p>
<h2>Ports</h2><p>Listens on 2024, 2 * 3 is <b>six</b>.</p>
<table><tr><th>name</th><th>port</th></tr><tr><td>web</td><td>80</td></tr></table>
<h2>Colours</h2><pre># not a heading</pre><ul><li>The sky is blue.</li></ul>{}<footer>Copyright words</footer>
</body></html>"""


@pytest.mark.parametrize("wrapped", [("", ""), ("<main>", "</main>"), ("<div class='x'>", "</div>")])
async def test_headings_of_html_are_its_sections_and_menus_are_left_out(wrapped: tuple[str, str]) -> None:
    chunks = await passages_of(PAGE.format(*wrapped).encode(), ".html")
    found = {chunk.section: chunk.text for chunk in chunks}
    assert list(found)[-3:] == ["Guide", "Guide > Ports", "Guide > Colours"]
    assert found["Guide"] == "Intro & words."
    assert "2 * 3 is" in found["Guide > Ports"]
    assert "| web | 80 |" in found["Guide > Ports"]
    assert "# not a heading" in found["Guide > Colours"]
    everything = str(chunks)
    assert "greet" in everything
    assert not any(word in everything for word in ("script words", "Contact", "Copyright"))


async def test_the_title_of_a_page_stands_for_its_missing_heading() -> None:
    page = "<title>Travel\n rules</title><body><p>Trains only.</p><h2>Exceptions</h2><p>None at all.</p>"
    chunks = await passages_of(page.encode(), ".htm")
    assert [(chunk.section, chunk.text) for chunk in chunks] == [
        ("Travel rules", "Trains only."),
        ("Travel rules > Exceptions", "None at all."),
    ]


async def test_a_piece_of_html_keeps_its_headings() -> None:
    (chunk,) = await passages_of(b"<h1>Tea</h1><p>Steep it for three minutes.</p>", ".html")
    assert chunk.searchable == "Tea\nSteep it for three minutes."


async def test_html_in_another_encoding_is_read() -> None:
    page = '<meta charset="iso-8859-1"><body><h1>Preis</h1><p>Fünf Äpfel für zehn.</p>'
    (chunk,) = await passages_of(page.encode("iso-8859-1"), ".html")
    assert chunk.searchable == "Preis\nFünf Äpfel für zehn."


@pytest.mark.parametrize("page", [b"", b"\x00\x01\x02", b"<html><body><script>app()</script></body></html>"])
async def test_html_without_words_is_told_as_such(page: bytes) -> None:
    with pytest.raises(ValueError, match="no readable text"):
        await passages_of(page, ".html")


async def test_html_that_is_deep_or_large_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        await passages_of(b"<p>x</p>" * 1_000_000, ".html")
    deep = b"<div>" * 20_000 + b"<p>words</p>"
    try:
        chunks = await passages_of(deep, ".html")
    except ValueError as error:
        assert "no readable text" in str(error)  # noqa: PT017 - either is an end, a crash is not
    else:
        assert "words" in str(chunks)


async def test_the_pages_of_a_pdf_are_its_places() -> None:
    chunks = await passages_of(pdf(["The port is 2024.", "", "The sky is blue."]), ".pdf")
    assert [(chunk.section, chunk.text) for chunk in chunks] == [
        ("page 1", "The port is 2024."),
        ("page 3", "The sky is blue."),
    ]


WHOLE = pdf(["Hello"])
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "encrypted": (lambda: pdf(["secret"], locked_by="p"), "is encrypted; save it without its password"),
    "scanned": (lambda: pdf(["", ""]), "holds no text"),
    "cut off": (lambda: WHOLE[:300], "is no PDF that can be read"),
    "no pdf": (lambda: b"hello", "is no PDF that can be read"),
    "empty": (bytes, "is no PDF that can be read"),
    "its own page": (endless, "is no PDF that can be read"),
    "a bomb": (lambda: bomb(100_000_000), "unpacks to more than is read"),
    "long-winded": (lambda: bomb(19_000_000), "unpacks to more than is read"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_pdf_that_can_not_be_read_says_why(case: str) -> None:
    made, told = REFUSED[case]
    content = made()
    assert len(content) < 1_000_000
    with pytest.raises(ValueError, match=told):
        await passages_of(content, ".pdf")


async def test_a_pdf_without_a_password_for_readers_is_read() -> None:
    (chunk,) = await passages_of(pdf(["open to all"], locked_by=""), ".pdf")
    assert chunk.text == "open to all"


async def test_a_pdf_that_is_damaged_anywhere_is_read_or_refused_and_never_crashes() -> None:
    for place in range(0, len(WHOLE), 7):
        damaged = WHOLE[:place] + b"\xff\0" + WHOLE[place + 2 :]
        try:
            await passages_of(damaged, ".pdf")
        except ValueError as error:
            assert str(error)  # noqa: PT017 - either is an end, a crash is not


def test_a_pdf_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(ValueError, match="given up at page 1"):
        pages_of_pdf(pdf(["Hello"]), max_seconds=-1)
