"""``python -m codelab`` is the same as ``codelab``."""

from codelab.cli import main

if __name__ == "__main__":
    main()
