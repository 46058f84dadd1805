"""Time by phase, memory of the process tree and of the device, and facts about the machine. Works without torch."""

from codelab.measure import device, environment
from codelab.measure.child import run_in_child
from codelab.measure.meter import Meter

__all__ = ["Meter", "device", "environment", "run_in_child"]
