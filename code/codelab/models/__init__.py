"""Where weights come from, and how they are loaded, quantised and compared."""

from codelab.models.load import LoadedModel, load_model, local_folder
from codelab.models.source import ModelSource

__all__ = ["LoadedModel", "ModelSource", "load_model", "local_folder"]
