"""The second renderer: chapters and frozen outputs to HTML and PDF with Pandoc and Typst, both from Python packages.

It makes a reader's build on a machine without Quarto and imitates nothing beyond what the chapters use. Not covered:
executing chapters (Quarto does) and Word.
"""
