"""Text that somebody gives a command: its words, and what stands at its input."""

from core.errors import InputError
from core.text import visible

_SHOWN_CHARS = 20
"""How much is shown before and after what is no text."""


def check_text(given: str) -> None:
    """Refuse what is no text: nothing could look for it, or keep it.

    Raises:
        InputError: a byte of it was not in UTF-8, or it can't be written in UTF-8.
    """
    try:
        given.encode()
    except UnicodeEncodeError as error:
        begins, ends = max(0, error.start - _SHOWN_CHARS), error.start + _SHOWN_CHARS
        shown = f"{'…' * (begins > 0)}{given[begins:ends]}{'…' * (ends < len(given))}"
        raise InputError(
            f'"{visible(shown)}" is not in UTF-8. Give texts and names of files in UTF-8.'
        ) from error


def text_of(raw: bytes) -> str:
    """Return the text that bytes are of.

    Raises:
        InputError: they are not in UTF-8.
    """
    text = raw.decode(errors="surrogateescape")
    check_text(text)
    return text


def text_read(line: str, encoding: str) -> str:
    """Return the text of a line that was read in an encoding which may know fewer characters than UTF-8.

    Args:
        line: with surrogates for bytes that the encoding does not know, if any.
        encoding: as of `sys.stdin`.

    Raises:
        InputError: it is not in UTF-8 either.
    """
    try:
        line.encode()
    except UnicodeEncodeError:
        return text_of(line.encode(encoding, errors="surrogateescape"))
    return line
