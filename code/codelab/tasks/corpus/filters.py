"""The per-file filters: which files of a checkout are worth reading, each refusal with one name for the data card.

The rules are about form (size, syntax, who wrote it, what share is data), never about taste. Not covered: duplicates
and benchmark contamination, which need to see more than one file.
"""

import ast
import re
import warnings

from codelab.tasks.corpus.lexing import Lexed
from codelab.tasks.corpus.licences import has_copyleft_header

MIN_BYTES = 200
MAX_BYTES = 200_000
MAX_LINE = 1_000
MAX_MEAN_LINE = 120
MAX_NON_ASCII = 0.15
MIN_TOKENS = 40
MAX_LITERAL_SHARE = 0.6
MAX_LITERAL = 8_000
MIN_LITERAL = 4_000

_VENDORED = re.compile(
    r"vendors?|_?vendored|_vendor|third_?party|3rdparty|extern|externals|site-packages|dist-packages|node_modules|"
    r"\.?venv|virtualenv|__pycache__|\.ipynb_checkpoints"
)
_GENERATED_NAME = re.compile(r"_pb2(_grpc)?\.py$|(^|/)versioneer\.py$|(^|/)parsetab\.py$|(^|/)_version\.py$|_rc\.py$")
_GENERATED = re.compile(
    r"(auto[- ]?generated|(automatically|machine)[- ]generated|generated (by|from|with|using)|do not (edit|modify)|"
    r"created by: the resource compiler|@generated|this file is generated|don't edit)",
    re.IGNORECASE,
)
_TEST_FOLDER = frozenset({"test", "tests", "testing", "unittests", "unit_tests"})
_TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_tests?|tests?|conftest)\.py$")


def wanted(path: str, size: int) -> str | None:
    """Judge a file by path and size alone.

    Returns:
        None when it may be read, else the name of the filter that refuses it.
    """
    if not MIN_BYTES <= size <= MAX_BYTES:
        return "size"
    if any(_VENDORED.fullmatch(part.lower()) for part in path.split("/")[:-1]):
        return "vendored"
    if _GENERATED_NAME.search(path):
        return "generated"
    return None


def is_test(path: str) -> bool:
    """Whether a path is a test's by its folder or name."""
    return bool(_TEST_FILE.search(path)) or any(part.lower() in _TEST_FOLDER for part in path.split("/")[:-1])


def decode(data: bytes) -> str | None:
    """UTF-8 text with Unix line ends, no byte order mark, one line end at the end; None when it is not UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip("\n\f") + "\n"


def judge_text(text: str) -> str | None:
    """Judge a file by its text, cheap rules first.

    Returns:
        None when it may stay, else the name of the filter that refuses it.
    """
    if "\0" in text:
        return "syntax"
    if has_copyleft_header(text):
        return "copyleft_header"
    if _GENERATED.search(_head(text)):
        return "generated"
    lines = text.split("\n")
    if max(map(len, lines)) > MAX_LINE or len(text) / len(lines) > MAX_MEAN_LINE:
        return "long_lines"
    if not text.isascii() and sum(not character.isascii() for character in text) > MAX_NON_ASCII * len(text):
        return "non_ascii"
    return None if parses(text) else "syntax"


def judge_tokens(lexed: Lexed) -> str | None:
    """Judge a file by its code tokens: near-empty files and files that are mostly data are refused by name."""
    if len(lexed.tokens) < MIN_TOKENS:
        return "near_empty"
    total = sum(map(len, lexed.tokens))
    if lexed.longest > MAX_LITERAL or (lexed.literal > MIN_LITERAL and lexed.literal > MAX_LITERAL_SHARE * total):
        return "huge_literal"
    return None


def parses(text: str) -> bool:
    """Whether the text is Python 3.11 as far as the running interpreter can tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text, feature_version=(3, 11))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _head(text: str) -> str:
    """Where a file says what made it: its first 600 characters."""
    return text[:600]
