"""The bibliography file: entries, what each must say, and which are cited.

Understands BibTeX as this book writes it: braces or quotes around values, no string macros. Not covered: styles
(citeproc's business) and whether an entry is true.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from codelab.errors import UserError

VENUES = ("journal", "booktitle", "publisher", "howpublished", "institution", "school", "eprint")
_ENTRY = re.compile(r"^\s*@(\w+)\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)
_FIELD = re.compile(r"\s*([\w-]+)\s*=\s*")


@dataclass(frozen=True)
class Entry:
    """One entry: its key, its kind and its fields, names in lower case, outer braces removed."""

    key: str
    kind: str
    fields: dict[str, str]


def read_entries(path: Path) -> list[Entry]:
    """All entries of a bibliography file.

    Raises:
        UserError: it is missing, or an entry is not closed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    text = re.sub(r"^\s*%.*$", "", text, flags=re.MULTILINE)
    entries = []
    for match in _ENTRY.finditer(text):
        if match[1].lower() in ("comment", "string", "preamble"):
            continue
        fields, at = {}, match.end()
        while found := _FIELD.match(text, at):
            value, at = _value(text, found.end(), f"{path}: {match[2]}")
            fields[found[1].lower()] = value
            if text[at : at + 1] != ",":
                break
            at += 1
        if text[at:].lstrip()[:1] != "}":
            raise UserError(
                f"{path}: {match[2]}: expected a field or the closing brace at {text[at : at + 30].strip()!r}"
            )
        entries.append(Entry(match[2], match[1].lower(), fields))
    return entries


def incomplete(entries: list[Entry]) -> list[str]:
    """What entries lack: authors, title, venue, year, and a DOI or an arXiv number."""
    faults, seen = [], set[str]()
    for entry in entries:
        have = {name for name, value in entry.fields.items() if value.strip()}
        faults += [f"{entry.key}: appears twice"] if entry.key in seen else []
        seen.add(entry.key)
        faults += [f"{entry.key}: no {name}" for name in ("author", "title", "year") if name not in have]
        if not have.intersection(VENUES):
            faults.append(f"{entry.key}: no venue (one of {', '.join(VENUES)})")
        # Software and web pages have no DOI as a rule; an address takes its place.
        named = {"doi", "eprint", *(("url",) if entry.kind in ("misc", "software", "online", "manual") else ())}
        if not have & named:
            faults.append(f"{entry.key}: no {' or '.join(sorted(named))}")
        if "year" in have and not re.fullmatch(r"(19|20)\d\d", entry.fields["year"]):
            faults.append(f"{entry.key}: year {entry.fields['year']!r}")
        if "doi" in have and not re.match(r"10\.\d{4,}/\S+$", entry.fields["doi"]):
            faults.append(f"{entry.key}: doi {entry.fields['doi']!r} is not of the form 10.…/…")
    return faults


def _value(text: str, at: int, where: str) -> tuple[str, int]:
    opening = text[at : at + 1]
    if opening not in ("{", '"'):
        end = re.compile(r"[,\s}]").search(text, at)
        return (text[at : end.start()], end.start()) if end else (text[at:], len(text))
    depth = 0
    for place in range(at + 1, len(text)):
        mark = text[place]
        if depth == 0 and mark == ("}" if opening == "{" else '"'):
            value = " ".join(text[at + 1 : place].split())
            rest = re.compile(r"\s*").match(text, place + 1)
            return value, rest.end() if rest else place + 1
        depth += (mark == "{") - (mark == "}")
    raise UserError(f"{where}: a value is not closed")
