"""Import every module of this package, so that the verbs they define are registered with the application."""

import pkgutil
from importlib import import_module

import codelab.cli

for _module in pkgutil.iter_modules(codelab.cli.__path__):
    if _module.name != "app":
        import_module(f"codelab.cli.{_module.name}")
