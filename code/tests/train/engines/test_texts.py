"""Shapes: exactly as long as asked, and never the same twice."""

import pytest

from codelab.errors import UserError
from codelab.train.engines.texts import Stream, pairs, prompts


def test_prompts_and_pairs_are_exactly_as_long_as_asked_and_never_the_same() -> None:
    stream = Stream(["abc", "defgh", "", "ij"], lambda text: [ord(letter) for letter in text])
    asked = prompts(stream, 3, 7, "p")
    assert [len(one.ids) for one in asked] == [7, 7, 7]
    assert bytes(asked[0].ids) == b"abcdefg"
    assert len({one.ids for one in asked}) == 3
    programs = [[1] * 4, [2] * 6, [3] * 50, [4] * 5]
    rows = pairs(stream, programs, 0, 20, 5)
    assert len(rows) == 5
    for row in rows:
        longest = max(len(row["chosen_ids"]), len(row["rejected_ids"]))
        assert len(row["prompt_ids"]) + longest == 20
        assert row["chosen_ids"][-1] == row["rejected_ids"][-1] == 0
        assert row["chosen_ids"] != row["rejected_ids"]
    with pytest.raises(UserError, match="leave no room"):
        pairs(stream, [[3] * 50, [1]], 0, 20, 1)
    with pytest.raises(UserError, match="no text"):
        Stream(["", ""], list)  # type: ignore[arg-type]
