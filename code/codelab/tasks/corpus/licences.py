"""Which licence a text is, read from the text itself, and which licences a corpus may hold.

Recognition goes by sentences that the licences share in every copy, after lower-casing and collapsing white space. A
source counts as permissive when its own licence file has at least one recognised permissive licence and no copyleft
one; root files about bundled parts count only where it has none of its own; one further down speaks for its own folder.
Not covered: dual licensing by choice, patents, and legal advice.
"""

import re
from collections.abc import Mapping

PERMISSIVE = frozenset(
    {
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "Apache-2.0",
        "ISC",
        "Unlicense",
        "CC0-1.0",
        "PSF-2.0",
        "0BSD",
        "Zlib",
        "BSL-1.0",
    }
)
LICENCE_FILE = re.compile(r"(.*[-_])?(un)?licen[cs]es?([-_].*)?|copying([-_].*)?|copyright", re.IGNORECASE)
_OWN = re.compile(r"(un)?licen[cs]e([.-].*)?|copying([.-].*)?", re.IGNORECASE)

_NAMED = re.compile(r"[^a-z0-9]+")
_COPYLEFT_TEXT = (
    ("AGPL", "gnu affero general public license version 3"),
    ("LGPL", "gnu lesser general public license version"),
    ("LGPL", "gnu library general public license version"),
    ("GPL", "gnu general public license version"),
    ("MPL", "mozilla public license version"),
    ("EPL", "eclipse public license v"),
    ("CC-BY-SA", "creative commons attribution sharealike"),
    ("CC-BY-NC", "creative commons attribution noncommercial"),
    ("CC-BY-ND", "creative commons attribution noderivatives"),
)
_RESTRICTED_TEXT = (("Commons-Clause", "commons clause license condition"), ("BUSL", "business source license 1 1"))
_HEADER = re.compile(
    r"gnu (affero |lesser |library )?general public licen[cs]e|\b[al]?gpl[ -]?(v|version)?[ -]?[23]|"
    r"spdx-license-identifier:\s*\(?(agpl|lgpl|gpl|mpl|cc-by-sa|cc-by-nc|epl|eupl)|mozilla public licen[cs]e",
    re.IGNORECASE,
)


def recognise(text: str) -> frozenset[str]:
    """The SPDX names (families for copyleft) of every licence whose wording stands in ``text``; empty when none."""
    flat = f" {_NAMED.sub(' ', text.lower())} "
    found = {name for name, phrase in (*_COPYLEFT_TEXT, *_RESTRICTED_TEXT) if phrase in flat}
    if "permission is hereby granted free of charge to any person obtaining a copy" in flat:
        found.add("MIT")
    if "redistribution and use in source and binary forms" in flat:
        endorse = re.search(
            r"neither the names? of|endorse or promote products derived|names? .{0,80}may not be used", flat
        )
        found.add("BSD-3-Clause" if endorse else "BSD-2-Clause")
    if "apache license version 2 0" in flat:
        found.add("Apache-2.0")
    if re.search(r"permission to use copy modify and (or )?distribute this software .{0,200}with or without fee", flat):
        found.add("ISC" if "above copyright notice" in flat else "0BSD")
    if "this is free and unencumbered software released into the public domain" in flat:
        found.add("Unlicense")
    if "cc0 1 0 universal" in flat or "creative commons zero" in flat:
        found.add("CC0-1.0")
    if "python software foundation license version 2" in flat:
        found.add("PSF-2.0")
    if "this notice may not be removed or altered from any source distribution" in flat:
        found.add("Zlib")
    if "boost software license version 1 0" in flat:
        found.add("BSL-1.0")
    return frozenset(found)


def has_copyleft_header(text: str) -> bool:
    """Whether the first 4,000 characters of a source file claim a copyleft licence."""
    return bool(_HEADER.search(text[:4000]))


def is_licence_path(path: str) -> bool:
    """Whether a file's name says that it holds a licence (``LICENSE.txt``, ``COPYING``, ``LICENSES/MIT.txt`` …)."""
    parts = path.split("/")
    if parts[-1].endswith((".py", ".json", ".js", ".html", ".yml", ".yaml", ".toml", ".sh")):
        return False
    stem = re.split(r"[.]", parts[-1])[0]
    return bool(LICENCE_FILE.fullmatch(stem)) or (len(parts) == 2 and parts[0].lower() in {"licenses", "licences"})


def judge_root(found: Mapping[str, frozenset[str]]) -> tuple[frozenset[str], str | None]:
    """Judge a source by the licence files at its root.

    Args:
        found: root file name (or ``LICENSES/…``) to what :func:`recognise` saw in it.

    Returns:
        The permissive licences seen, and None or the reason why the source may not be used.
    """
    allowed = frozenset[str]().union(*found.values()) & PERMISSIVE
    judged = {name: seen for name, seen in found.items() if _OWN.fullmatch(name)} or found
    stated = frozenset[str]().union(*judged.values())
    blocked = sorted(stated - PERMISSIVE)
    if not judged:
        return allowed, "no licence file at the root"
    if blocked:
        return allowed, f"{', '.join(blocked)} in {next(name for name, seen in judged.items() if seen & set(blocked))}"
    if not stated:
        return allowed, f"licence not recognised in {', '.join(sorted(judged))}"
    return allowed, None
