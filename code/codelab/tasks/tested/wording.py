"""Texts that tell a reader what to do without the project that they come from: a guess from words alone.

Not covered: whether the code does what its text says; running tells a part of it (``codelab.tasks.tested.choose``).
"""

import ast
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

LEAST_WORDS = 4
LEAST_WORDS_LIBRARY = 5
_JARGON = re.compile(
    r"""\b(self|this\s(module|class|method|object|instance|node|plugin|test|script|package)|callback|decorator|wrapper
    |wrapped?|helper|utility|util|internal|private|dummy|placeholder|stub|mock|fixture|backend|plugin|config\w*|setting\w*
    |session|request|response|server|client|endpoint|database|query|sql\w*|django|flask|numpy|ndarray|np|pandas|dataframe
    |tensor\w*|torch|pytorch|tensorflow|keras|jax|model\w*|layer\w*|module|kernel|gpu|cuda|docker|kubernetes|aws|gcp|azure
    |logger|logging|log|widget|axis|axes|plot\w*|figure|click|argparse|cli|option\w*|command-line|environment|env|kwargs
    |deprecat\w*|legacy|compat\w*|backwards?|python\s?[23]|sphinx|docutils|pytest|doctest|unittest|ast|bytecode|opcode
    |pep\s?\d+|repo\w*|git|github|commit|branch|workflow|pipeline|metadata|schema|serializ\w*|json|yaml|xml|html|hook
    |see|etc|hack|workaround|ugly|implementation|implements?|used\s(by|to|in|for|when|as)|called\s(by|when|from)
    |puzzle|solve|solution|part\s?(one|two|1|2|a|b)|challenge|exercise|kata|problem|advent|input\sdata
    |pooling
    |bucket|build|revision|compiler|linker|snapshot|volume\sdict|user'?s?|job\w*|dataset\w*|batch\w*|train\w*|checkpoint\w*|device\w*|runtime|package\w*|librar\w*|codec|encoding)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_VAGUE = re.compile(
    r"\b(pretty|nicer?|proper(ly)?|appropriate(ly)?|suitabl[ey]|correct(ly)?|special|certain|somewhat|in mind|here"
    r")\b|\b(args|returns?|params?):",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"\W*(inputs?|fix(es)?|adjusts?|uses?|updates?|handles?|expects?|like|to|tr(y|ies)|pretty|performs?|prepares?|same|pure"
    r"|guess(es)?|positional|keyword|flag|loop|pre-?process|attempts?|safely|hardcoded|raw|just|tricks?|only|python|assumes?"
    r"|always|some|prints?|errors?|going|deals?|imitates?|for|as|consider"
    r"|function (with|for)|must|another|a possible|simple|default|example|retourne|teste)\b",
    re.IGNORECASE,
)
_DATA = re.compile(
    r"\b(numbers?|integers?|ints?|floats?|digits?|decimals?|lists?|strings?|strs?|words?|sequences?|arrays?|texts?|letters?"
    r"|char(acter)?s?|vowels?|values?|elements?|items?|tuples?|pairs?|dict(ionar(y|ies))?s?|keys?|lines?|paths?|filenames?"
    r"|dates?|years?|months?|days?|hours?|minutes?|(milli)?seconds?|matri(x|ces)|vectors?|sets?|sub(set|string|array|list)s?"
    r"|iterables?|iterators?|sentences?|spaces?|commas?|bits?|binary|hex(adecimal)?|roman|fibonacci|primes?|factorials?"
    r"|palindromes?|anagrams?|divisors?|factors?|gcd|lcm|greatest|squares?|cubes?|powers?|triangles?|circles?|areas?|volumes?"
    r"|points?|angles?|degrees|radians|celsius|fahrenheit|temperatures?|prices?|averages?|means?|medians?|sums?|ascending"
    r"|intervals?|ranges?|urls?|e-?mails?|colou?rs?|prefix(es)?|suffix(es)?|separators?|booleans?|trues?|coordinates?"
    r"|probabilit(y|ies)|distances?|percent(age)?s?|polynomials?|fractions?|roots?|permutations?|whitespace|sort(s|ed|ing)?)\b"
)
_IDENTIFIER = re.compile(r"`+([^`]*)`+|\b(\w*[a-z][A-Z]\w*|\w+_\w+|\w+\.\w+\.?\w*)\b|:\w+:|\\|\||(?:^|\s)[.%$@#/]+\w+")
_CONDITION = re.compile(
    r"rotated|cyclically|shifted array|bitonic|mountain|balanced|consecutive integers|valid \w+ (string|list|array)",
    re.IGNORECASE,
)
_REFERS = re.compile(r"\b(this|(if|as|where) (necessary|needed)|raw)\b")
_WORDS_TOO = frozenset("ais")
_WORD = re.compile(r"[A-Za-z][a-z']+|[A-Z]+")


def vague(text: str, required: Sequence[str]) -> bool:
    """Whether a text says too little of what goes in and out; asked of a library's function, whose callers know more.

    Args:
        text: the question.
        required: names of the parameters without a default.
    """
    told = text.lower().replace("number of", "")
    kinds = {found[0].rstrip("s") for found in _DATA.finditer(told)}
    named = bool(required) and all(
        len(one) > 2 and re.search(rf"\b{re.escape(one.lower().rstrip('s'))}", told) for one in required
    )
    enough = len(kinds) > 1 or (named and bool(kinds))
    return len(_WORD.findall(told)) < LEAST_WORDS_LIBRARY or bool(_REFERS.search(told)) or not enough


def unfit(text: str, name: str, parameters: AbstractSet[str]) -> str:
    """Why a text cannot be a task's, as a short reason; empty where nothing speaks against it.

    Args:
        text: the question.
        name: of the function.
        parameters: names that the text may use.
    """
    told = text.lower().replace("number of", "")
    spoken = [one for one in parameters if one not in _WORDS_TOO and re.search(rf"\b{re.escape(one.lower())}\b", told)]
    abbreviations = [word for word in _WORD.findall(text) if word.isupper() and len(word) > 1]
    reasons = {
        "text: too short": len(_WORD.findall(text)) < LEAST_WORDS,
        "text: says too little": _VAGUE.search(text) or _OPENING.match(text),
        "text: goes on elsewhere": text.startswith("[") or text.endswith((":", ",")) or text.count(" = ") > 1,
        "text: terms of a project": _JARGON.search(text),
        "text: names that only its project knows": not _plain(text, {*parameters, name}),
        "text: arguments of a kind that is not proposed": _CONDITION.search(text),
        "text: abbreviations": len(abbreviations) > 1,
        "text: names no data": not (_DATA.search(told) or spoken),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _plain(text: str, known: AbstractSet[str]) -> bool:
    """Whether every identifier in a text is a parameter's, the function's, or a constant."""
    for found in _IDENTIFIER.finditer(text):
        if found[1] is None and found[2] is None:
            return False
        name = (found[1] or found[2] or "").strip(" `()*")
        if name not in known and not _literal(name) and not name.replace(".", "").isdigit():
            return False
    return True


def _literal(text: str) -> bool:
    """Whether a quoted piece is a plain constant rather than a name."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return not re.fullmatch(r"[A-Za-z_][\w.]*\W*", text)
    return True
