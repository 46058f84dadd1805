#!/bin/sh
# Resolve the extras of pyproject.toml into one hashed file each, without any address of an index.
# torch is left out everywhere: its hashes differ by build, so it is installed in a step of its own (Makefile).
set -eu
cd "$(dirname "$0")/.."
lock() { # NAME EXTRAS [uv options]
    name=$1 extras=$2
    shift 2
    for extra in $extras; do set -- "$@" --extra "$extra"; done
    uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-emit-find-links --overrides requirements/not-ours.txt --custom-compile-command "make lock" \
        --no-annotate "$@" -o "requirements/$name.txt"
}
lock book "book"
lock train "train" --constraints requirements/book.txt
lock dev "book train dev" --constraints requirements/train.txt
lock bench "book train dev bench" --constraints requirements/dev.txt
lock gpu "gpu" --constraints requirements/train.txt
lock quarto "quarto"
