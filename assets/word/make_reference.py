"""Write reference.docx, the styles of the Word book, from Pandoc's own default.

Run ``python assets/word/make_reference.py`` after a change here; the file it writes is committed and is the same, byte
for byte, for the same Pandoc. Needs python-docx and pypandoc_binary (the extras ``dev`` and ``book``).
Not covered: what a chapter says; Word takes every paragraph's look from these styles by name.
"""

import io
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import docx
import pypandoc
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Inches, Pt, RGBColor

TARGET = Path(__file__).with_name("reference.docx")
TEXT, HEADING, CODE = "Cambria", "Calibri", "Consolas"
INK, MUTED = RGBColor(0x1A, 0x1A, 0x1A), RGBColor(0x5A, 0x5A, 0x5A)
BLUE = RGBColor(0x0B, 0x3C, 0x6F)


def element(name: str, **attributes: str) -> Any:
    """An OOXML element such as ``w:shd`` with its ``w:`` attributes."""
    made = OxmlElement(name)
    for key, value in attributes.items():
        made.set(qn(f"w:{key}"), value)
    return made


def style(document: Any, name: str, kind: WD_STYLE_TYPE = WD_STYLE_TYPE.PARAGRAPH) -> Any:
    """The style of that name, made where Pandoc's default has none."""
    known = {known.name: known for known in document.styles}
    return known.get(name) or document.styles.add_style(name, kind)


def font(target: Any, family: str, size: float | None = None, *, colour: RGBColor | None = INK, **flags: bool) -> None:
    """Set a style's font for every script, and drop the theme's fonts and colours, which would win."""
    properties = target.element.get_or_add_rPr()
    for tag in ("w:rFonts", "w:color"):
        for old in properties.findall(qn(tag)):
            properties.remove(old)
    properties.insert(0, element("w:rFonts", ascii=family, hAnsi=family, cs=family, eastAsia=family))
    if size is not None:
        target.font.size = Pt(size)
    if colour is not None:
        target.font.color.rgb = colour
    for flag in ("bold", "italic", "underline"):
        setattr(target.font, flag, flags.get(flag))  # None: as the style it is based on


def spacing(target: Any, before: float, after: float, line: float | None = None, *, keep_next: bool = False) -> None:
    """Set the space around a paragraph style, in points, and its line height as a factor."""
    layout = target.paragraph_format
    layout.space_before, layout.space_after = Pt(before), Pt(after)
    layout.keep_with_next = keep_next
    layout.widow_control = True
    if line is not None:
        layout.line_spacing = line


def shade(target: Any, fill: str) -> None:
    """Give a paragraph style a ground."""
    target.element.get_or_add_pPr().append(element("w:shd", val="clear", color="auto", fill=fill))


def defaults(document: Any) -> None:
    """Give the text size to the document, not to a style: the size a table style asks for then holds in its cells."""
    run = document.styles.element.find(qn("w:docDefaults")).find(qn("w:rPrDefault")).find(qn("w:rPr"))
    for tag in ("w:rFonts", "w:sz", "w:szCs"):
        for old in run.findall(qn(tag)):
            run.remove(old)
    run.insert(0, element("w:rFonts", ascii=TEXT, hAnsi=TEXT, cs=TEXT, eastAsia=TEXT))
    for tag in ("w:sz", "w:szCs"):
        run.append(element(tag, val="22"))


def text_styles(document: Any) -> None:
    """Body, headings, title block, captions, code and notes."""
    defaults(document)
    for name in ("Body Text", "First Paragraph"):
        font(style(document, name), TEXT, 11)
        spacing(style(document, name), 4, 5, 1.15)
    font(style(document, "Compact"), TEXT)
    spacing(style(document, "Compact"), 1.5, 1.5, 1.05)

    font(style(document, "Title"), HEADING, 26, bold=True)
    spacing(style(document, "Title"), 0, 4)
    font(style(document, "Subtitle"), HEADING, 14, colour=MUTED, bold=False)
    spacing(style(document, "Subtitle"), 0, 10)
    for name in ("Author", "Date"):
        font(style(document, name), TEXT, 11, bold=False)
        spacing(style(document, name), 0, 2)
    for name in ("Title", "Subtitle", "Author", "Date"):
        style(document, name).paragraph_format.alignment = WD_ALIGN_PARAGRAPH.LEFT

    sizes = {1: (18, 18, 10), 2: (14, 16, 6), 3: (12, 12, 4), 4: (11, 10, 4)}
    for level, (size, before, after) in sizes.items():
        heading = style(document, f"Heading {level}")
        font(heading, HEADING, size, bold=level < 4, italic=level == 4)
        spacing(heading, before, after, keep_next=True)
    font(style(document, "TOC Heading"), HEADING, 14, bold=True)
    spacing(style(document, "TOC Heading"), 16, 6, keep_next=True)

    for name, before, after, keep in (
        ("Table Caption", 10, 4, True),
        ("Image Caption", 4, 8, False),
        ("Caption", 4, 8, False),
    ):
        font(style(document, name), TEXT, 9.5, colour=MUTED)
        spacing(style(document, name), before, after, keep_next=keep)
    spacing(style(document, "Captioned Figure"), 8, 2, keep_next=True)
    # The line below a figure or table that names its record.
    font(style(document, "Source Note"), TEXT, 9, colour=MUTED)
    spacing(style(document, "Source Note"), 2, 10, 1.0)
    font(style(document, "Verbatim Note", WD_STYLE_TYPE.CHARACTER), CODE, 8, colour=MUTED)

    font(style(document, "Block Text"), TEXT, 11, italic=True)
    spacing(style(document, "Block Text"), 4, 8, 1.15)
    style(document, "Block Text").paragraph_format.left_indent = Inches(0.3)
    callout = style(document, "Callout")
    font(callout, TEXT, 10.5)
    spacing(callout, 2, 4, 1.1)
    callout.paragraph_format.left_indent = Inches(0.2)
    borders = element("w:pBdr")
    borders.append(element("w:left", val="single", sz="18", space="8", color="7A7A7A"))
    callout.element.get_or_add_pPr().append(borders)
    code = style(document, "Source Code")
    font(code, CODE, 9)
    spacing(code, 4, 8, 1.0)
    shade(code, "F5F6F7")
    verbatim = style(document, "Verbatim Char", WD_STYLE_TYPE.CHARACTER)
    font(verbatim, CODE, 9.5)
    font(style(document, "Footnote Text"), TEXT, 9)
    font(style(document, "Hyperlink", WD_STYLE_TYPE.CHARACTER), TEXT, colour=BLUE)
    bibliography = style(document, "Bibliography")
    font(bibliography, TEXT, 10.5)
    spacing(bibliography, 0, 5)
    bibliography.paragraph_format.left_indent = Inches(0.3)
    bibliography.paragraph_format.first_line_indent = Inches(-0.3)


def table_style(document: Any) -> None:
    """Three rules, a little air, whole rows, a bold first row that stays with the next."""
    table = style(document, "Table", WD_STYLE_TYPE.TABLE).element
    for old in [child for tag in ("w:tblStylePr", "w:tblPr", "w:trPr", "w:rPr") for child in table.findall(qn(tag))]:
        table.remove(old)
    properties = element("w:tblPr")
    borders = element("w:tblBorders")
    for side in ("top", "bottom"):
        borders.append(element(f"w:{side}", val="single", sz="8", space="0", color="444444"))
    borders.append(element("w:insideH", val="single", sz="2", space="0", color="DDDDDD"))
    properties.append(borders)
    margins = element("w:tblCellMar")
    for side, width in (("top", "30"), ("left", "50"), ("bottom", "30"), ("right", "50")):
        margins.append(element(f"w:{side}", w=width, type="dxa"))
    properties.append(margins)
    size = element("w:rPr")
    size.append(element("w:sz", val="18"))
    size.append(element("w:szCs", val="18"))
    table.append(size)
    table.append(properties)
    rows = element("w:trPr")
    rows.append(element("w:cantSplit"))
    table.append(rows)
    first = element("w:tblStylePr", type="firstRow")
    head = element("w:pPr")
    head.append(element("w:keepNext"))
    first.append(head)
    run = element("w:rPr")
    run.append(element("w:b"))
    first.append(run)
    cell = element("w:tcPr")
    rule = element("w:tcBorders")
    rule.append(element("w:bottom", val="single", sz="6", space="0", color="444444"))
    cell.append(rule)
    first.append(cell)
    table.append(first)


def page(document: Any) -> None:
    """US letter, one-inch margins, the page number in the foot."""
    section = document.sections[0]
    section.page_width, section.page_height = Inches(8.5), Inches(11)
    section.left_margin = section.right_margin = Inches(1.1)
    section.top_margin = section.bottom_margin = Inches(1)
    paragraph = section.footer.paragraphs[0]
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    run = paragraph.add_run()
    run.font.size, run.font.color.rgb = Pt(9), MUTED
    for kind, text in (("begin", None), (None, " PAGE "), ("end", None)):
        if kind:
            run._r.append(element("w:fldChar", fldCharType=kind))
        else:
            code = element("w:instrText")
            code.text = text
            run._r.append(code)


def main() -> None:
    """Write the file with fixed dates, so that the same styles give the same bytes."""
    default = subprocess.run(
        [pypandoc.get_pandoc_path(), "--print-default-data-file", "reference.docx"], check=True, capture_output=True
    ).stdout
    document = docx.Document(io.BytesIO(default))
    text_styles(document)
    table_style(document)
    page(document)
    buffer = io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as made, zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED) as fixed:
        for name in made.namelist():
            entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(entry, made.read(name))


if __name__ == "__main__":
    main()
