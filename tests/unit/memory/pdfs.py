"""Small PDF files, made by another library than the one that reads them, and hostile ones by hand."""

import zlib
from collections.abc import Sequence
from io import BytesIO


def pdf(pages: Sequence[str], *, locked_by: str | None = None) -> bytes:
    """Return a PDF with a text on each page; an empty text makes a page with a drawing only."""
    from reportlab.lib.pdfencrypt import StandardEncryption  # noqa: PLC0415 - takes long, and few tests need it
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415

    made = BytesIO()
    canvas = Canvas(made, encrypt=StandardEncryption(locked_by) if locked_by is not None else None)
    for text in pages:
        if text:
            canvas.drawString(72, 720, text)
        else:
            canvas.rect(72, 72, 200, 200, fill=1)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def bomb(unpacked_bytes: int) -> bytes:
    """Return a small PDF whose one page unpacks to a text of `unpacked_bytes`."""
    drawn = b"BT /F1 12 Tf (word) Tj ET\n"
    content = zlib.compress(drawn * (unpacked_bytes // len(drawn)), 9)
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            (
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R "
                b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
            ),
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content),
        ]
    )


def endless() -> bytes:
    """Return a PDF whose tree of pages leads back to itself."""
    return _file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"])


def _file(objects: Sequence[bytes]) -> bytes:
    made, places = b"%PDF-1.7\n", list[int]()
    for number, body in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    return made + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
        % (len(objects) + 1, rows, len(objects) + 1, len(made))
    )
