"""Reads HTML: the main text of a page as Markdown, so that its headings are its structure."""

import re
from copy import deepcopy
from typing import Any

MAX_HTML_BYTES = 5_000_000
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])")
_HEADED = re.compile(r"^# ", re.MULTILINE)


def markdown_of_html(content: bytes) -> str:
    """Return the readable text of a page as Markdown, without menus and scripts.

    `trafilatura` has to be loaded. The title of a page stands for its first heading where that is missing.

    Raises:
        ValueError: the page is too large, or holds no readable text.
    """
    from trafilatura import extract, load_html  # noqa: PLC0415 - large, and loaded by now
    from trafilatura.settings import DEFAULT_CONFIG  # noqa: PLC0415

    if len(content) > MAX_HTML_BYTES:
        raise ValueError(f"{len(content):,} bytes, at most {MAX_HTML_BYTES:,} of HTML are read")
    config = deepcopy(DEFAULT_CONFIG)
    # Under it the page is taken as one text without headings; a short document has headings too.
    config.set("DEFAULT", "MIN_EXTRACTED_SIZE", "1")
    tree = load_html(content)
    title = "" if tree is None else " ".join((tree.findtext(".//title") or "").split())
    text = tree is not None and extract(
        _with_main_part(tree),
        output_format="markdown",
        include_comments=False,
        include_formatting=True,
        favor_recall=True,
        config=config,
    )
    if not text:
        raise ValueError("holds no readable text; it may be made by scripts in the browser")
    return text if _HEADED.search(text) or not title else f"# {title}\n\n{text}"


def plain(markdown: str) -> str:
    r"""Return Markdown without the backslashes that keep its signs from being read as Markdown."""
    return _ESCAPED.sub(r"\1", markdown)


def _with_main_part(tree: Any) -> Any:
    """Return a page, all of it marked as its main part where no part is: other headings are left out."""
    if tree.find(".//main") is not None or tree.find(".//article") is not None:
        return tree
    page = tree if tree.tag == "html" else tree.makeelement("html", {})
    body = page.find("body")
    if body is None:
        body = page.makeelement("body", {})
        page.append(body)
    if page is not tree:
        body.append(tree)
    main = body.makeelement("main", {})
    main.text, body.text = body.text, None
    main.extend(list(body))
    body.append(main)
    return page
