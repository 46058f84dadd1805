"""codelab: recipes say what to run, the lab runs it once and writes a record, the book reads records.

Sub-packages import one way only, left to right: ``records, measure | tasks, models, sandbox, evaluate, train | cli``;
``book`` reads records and draws, and never imports torch.
"""

__version__ = "0.1.0"
