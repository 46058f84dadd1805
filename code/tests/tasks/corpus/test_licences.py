import pytest

from codelab.tasks.corpus.licences import has_copyleft_header, is_licence_path, judge_root, recognise

MIT = "Permission is hereby granted, free of charge,\n to any person obtaining a copy"
BSD2 = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted"
BSD3 = BSD2 + "\n3. Neither the name of the copyright holder nor the names of its contributors may be used"
GPL = "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"
LGPL = "GNU LESSER GENERAL PUBLIC LICENSE\n   Version 2.1, February 1999"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (MIT, "MIT"),
        (BSD2, "BSD-2-Clause"),
        (BSD3, "BSD-3-Clause"),
        ("Apache License\n  Version 2.0, January 2004", "Apache-2.0"),
        ("This is free and unencumbered software released into the public domain.", "Unlicense"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2", "PSF-2.0"),
        (GPL, "GPL"),
        (LGPL, "LGPL"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3", "AGPL"),
        ("Mozilla Public License Version 2.0", "MPL"),
        ("Creative Commons Attribution-NonCommercial 4.0", "CC-BY-NC"),
    ],
)
def test_recognises_a_licence_by_its_own_words(text: str, name: str) -> None:
    assert recognise(text) == {name}


def test_all_rights_reserved_is_no_licence() -> None:
    assert recognise("Copyright 2020. All rights reserved.") == frozenset()


@pytest.mark.parametrize(
    ("files", "allowed", "reason"),
    [
        ({"LICENSE": MIT}, {"MIT"}, None),
        ({"LICENSE-MIT": MIT, "LICENSE.apache": "Apache License Version 2.0"}, {"MIT", "Apache-2.0"}, None),
        ({}, set(), "no licence file"),
        ({"LICENSE": "Copyright 2020"}, set(), "not recognised in LICENSE"),
        ({"LICENSE": GPL}, set(), "GPL in LICENSE"),
        ({"LICENSE": MIT, "COPYING": GPL}, {"MIT"}, "GPL in COPYING"),
        ({"LICENSE": MIT, "licenses/wcs.txt": LGPL}, {"MIT"}, None),
        ({"licenses/wcs.txt": LGPL}, set(), "LGPL in licenses/wcs.txt"),
    ],
)
def test_a_source_is_judged_by_its_own_licence_file(
    files: dict[str, str], allowed: set[str], reason: str | None
) -> None:
    seen, why = judge_root({name: recognise(text) for name, text in files.items()})
    assert seen == allowed
    assert (why is None) if reason is None else (why is not None and reason in why)


@pytest.mark.parametrize(
    "path", ["LICENSE", "LICENCE.md", "docs/COPYING.txt", "UNLICENSE", "LICENSES/MIT.txt", "LICENSE-MIT"]
)
def test_licence_files(path: str) -> None:
    assert is_licence_path(path)


@pytest.mark.parametrize("path", ["licences.py", "src/license.json", "README.md", "copy.txt", "tests/test_license.py"])
def test_other_files(path: str) -> None:
    assert not is_licence_path(path)


@pytest.mark.parametrize(
    ("head", "copyleft"),
    [
        ("# This file is under the GNU General Public License, see COPYING\n", True),
        ("# SPDX-License-Identifier: LGPL-2.1-or-later\n", True),
        ("# Licensed under GPLv3\n", True),
        ("# SPDX-License-Identifier: MIT\n", False),
        ("# a GPLayer plays games\n", False),
    ],
)
def test_copyleft_headers(head: str, copyleft: bool) -> None:
    assert has_copyleft_header(head + "x = 1\n") is copyleft
