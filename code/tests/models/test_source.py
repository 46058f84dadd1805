import pytest

from codelab.errors import UserError
from codelab.models import ModelSource


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("hub:openai-community/gpt2", "hub", "openai-community/gpt2"),
        ("path:models/x:y", "path", "models/x:y"),
        ("pypi:smollm2-135m", "pypi", "smollm2-135m"),
        ("scratch:gpt2", "scratch", "gpt2"),
    ],
)
def test_parses_and_prints_back(text: str, kind: str, name: str) -> None:
    source = ModelSource.parse(text)
    assert (source.kind, source.name) == (kind, name)
    assert str(source) == text


@pytest.mark.parametrize("text", ["gpt2", "hub:", "http://x", "pypi:other", "scratch:gpt9", ""])
def test_unknown_sources_say_what_was_expected(text: str) -> None:
    with pytest.raises(UserError, match="expected"):
        ModelSource.parse(text)
