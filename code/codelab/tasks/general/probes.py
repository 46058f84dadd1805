"""Probes of a general skill that a base model has and code training may take away: four answers, one of them right.

Three kinds. ``cloze``: the last word of a held-out sentence, where every answer is a word of the same passage, in the
spirit of LAMBADA (Paperno et al. 2016, arXiv:1606.06031), so that only the passage's sense tells which. ``capital``:
a country's capital among other capitals. ``sum``: two numbers below 30, after three solved sums, without which a
small model does not take the line for a sum; answers within 10 of the right one and of as many digits. The right
answer is the likeliest one, so chance is a quarter. Solved examples travel with each ``capital``, to part what is
lost from what is only suppressed. Not covered: scoring (``codelab.train.probing``).
"""

import random
import re
from typing import Any

from codelab.tasks.general.prose import COMMON

OPTIONS = 4
CLOZE = 600
SUMS = 200
SHOTS = 3
LEAST_CONTEXT = 250
MOST_CONTEXT = 700
"""Characters of passage before a blank, at least and at most."""

_LAST = re.compile(r"\b([a-z]{4,}) ?[.!?]$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"])")

Probe = dict[str, Any]


def make(heldout: list[dict[str, Any]], capitals: list[tuple[str, str]], seed: int = 0) -> list[Probe]:
    """All probes.

    Args:
        heldout: held-out documents with ``text``, ``source`` and ``name``.
        capitals: pairs of country and capital.
        seed: of choices and order.

    Returns:
        Rows with ``id``, ``kind``, ``source``, ``prompt``, ``shots`` (text of solved examples before the prompt, may be
        empty), ``question`` (the same as a chat message, may be empty), ``options`` (each begins with a space where the
        prompt ends in a word) and ``answer``, the index of the right one.
    """
    rng = random.Random(seed)
    return [*_cloze(heldout, rng), *_capitals(capitals, rng), *_sums(rng)]


def _cloze(documents: list[dict[str, Any]], rng: random.Random) -> list[Probe]:
    found: list[Probe] = []
    for document in documents:
        passage = ""
        for sentence in _SENTENCE.split(document["text"].replace("\n\n", " ")):
            candidate = _blank(f"{passage} {sentence}".strip(), passage, rng)
            if candidate:
                place = {"id": f"cloze:{document['source']}:{document['name']}", "source": document["source"]}
                found.append({**place, "kind": "cloze", "shots": "", "question": "", **candidate})
                break  # one a document: probes of one document are not independent
            passage = f"{passage} {sentence}".strip()[-MOST_CONTEXT:]
    rng.shuffle(found)
    return found[:CLOZE]


def _blank(text: str, passage: str, rng: random.Random) -> Probe | None:
    last = _LAST.search(text)
    if not last or len(passage) < LEAST_CONTEXT:
        return None
    word, before = last[1], text[: last.start(1)].rstrip()[-MOST_CONTEXT:]
    earlier = sorted({one for one in re.findall(r"\b[a-z]{4,}\b", before) if one not in COMMON})
    stem = word[:4]
    others = [one for one in earlier if one[:4] != stem]  # a word's other forms would be half right
    if word not in earlier or word in COMMON or len(others) < OPTIONS - 1:
        return None
    options = [word, *rng.sample(others, OPTIONS - 1)]
    return _mixed(before, [f" {one}" for one in options], rng)


def _capitals(pairs: list[tuple[str, str]], rng: random.Random) -> list[Probe]:
    probes = []
    for country, capital in sorted(pairs):
        others = [pair for pair in pairs if pair[1] != capital and pair[0] != country]
        if len(others) < OPTIONS - 1 + SHOTS:
            continue
        wrong, shots = rng.sample(others, OPTIONS - 1), rng.sample(others, SHOTS)
        options = [f" {one}" for one in (capital, *(pair[1] for pair in wrong))]
        row = _mixed(f"The capital of {country} is", options, rng)
        solved = "".join(f"The capital of {a} is {b}.\n" for a, b in shots)
        question = f"What is the capital of {country}? Answer with its name alone."
        probes.append({"id": f"capital:{country}", "kind": "capital", "source": "capitals", **row, "shots": solved,
                       "question": question})  # fmt: skip
    return probes


def _sums(rng: random.Random) -> list[Probe]:
    asked = rng.sample([(a, b) for a in range(2, 30) for b in range(2, 30)], SUMS)
    probes = []
    for a, b in asked:
        near = [a + b + d for d in range(-10, 11) if d and a + b + d > 0]
        # As many digits as the right answer: digits are tokens, and fewer tokens are likelier.
        wrong = rng.sample([one for one in near if len(str(one)) == len(str(a + b))], OPTIONS - 1)
        others = [(rng.randint(2, 29), rng.randint(2, 29)) for _ in range(SHOTS)]
        solved = "".join(f"{x} + {y} = {x + y}\n" for x, y in others)
        row = _mixed(f"{solved}{a} + {b} =", [f" {one}" for one in (a + b, *wrong)], rng)
        probes.append({"id": f"sum:{a}+{b}", "kind": "sum", "source": "sums", **row, "shots": "", "question": ""})
    return probes


def _mixed(prompt: str, options: list[str], rng: random.Random) -> Probe:
    order = rng.sample(range(len(options)), len(options))
    return {"prompt": prompt, "options": [options[i] for i in order], "answer": order.index(0)}
