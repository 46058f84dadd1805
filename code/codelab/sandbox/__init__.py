"""Runs untrusted programs: a parent that judges, children that only answer.

The child gets the candidate program and the calls to make and never holds an expected value; it answers with plain
values that the parent compares. See ``types`` for what goes in and out, ``plan`` for how a test is split, ``pool`` for
the processes, ``server`` and ``confine`` for what a child may do.
"""

from codelab.sandbox.calibrate import calibrate
from codelab.sandbox.observe import Observation, Observer, Probe
from codelab.sandbox.pool import Pool, judge
from codelab.sandbox.types import Failure, Limits, Report, Sample, Verdict

__all__ = [
    "Failure",
    "Limits",
    "Observation",
    "Observer",
    "Pool",
    "Probe",
    "Report",
    "Sample",
    "Verdict",
    "calibrate",
    "judge",
]
