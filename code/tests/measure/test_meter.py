import subprocess
import sys
import time

import numpy as np
import pytest

from codelab.measure import Meter
from codelab.measure.meter import _Sampler

MB = 1_000_000


def test_seconds_and_peak_of_memory_given_back_within_the_phase() -> None:
    meter = Meter(variant="v")
    with meter.phase("idle") as idle:
        time.sleep(0.05)
    with meter.phase("work") as work:
        block = np.ones(200 * MB, dtype=np.uint8)
        del block
    assert 0.05 <= idle.seconds < 1
    assert work.cpu_peak is not None
    assert idle.cpu_peak is not None
    assert work.cpu_peak - idle.cpu_peak > 180 * MB
    assert [(p.name, p.variant) for p in meter.phases] == [("idle", "v"), ("work", "v")]


def test_peak_of_one_phase_does_not_leak_into_the_next() -> None:
    meter = Meter()
    with meter.phase("big") as big:
        block = np.ones(300 * MB, dtype=np.uint8)
        del block
    with meter.phase("small") as small:
        time.sleep(0.01)
    assert big.cpu_peak is not None
    assert small.cpu_peak is not None
    assert big.cpu_peak - small.cpu_peak > 250 * MB


@pytest.mark.parametrize("linger", [0.0, 0.6])
def test_children_that_come_and_go_count(linger: float) -> None:
    code = f"import time; block = bytearray(b'x') * {300 * MB}; time.sleep({linger})"
    meter = Meter(interval=0.02)
    with meter.phase("child") as phase:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert phase.cpu_peak is not None
    assert phase.cpu_peak > 300 * MB


def test_phase_is_kept_when_the_body_fails() -> None:
    meter = Meter()
    with pytest.raises(RuntimeError, match="boom"), meter.phase("failing"):
        raise RuntimeError("boom")
    assert meter.phases[0].name == "failing"
    assert meter.phases[0].seconds > 0


def test_metering_stays_below_one_per_cent_of_a_core() -> None:
    meter = Meter(interval=0.001)
    with meter.phase("idle") as phase:
        time.sleep(1.5)
    assert 0 < meter.spent < 0.01 * phase.seconds + 0.01  # the fixed cost of a phase is milliseconds


@pytest.mark.parametrize(("burned", "fewest", "most"), [(0.0, 5, 27), (0.005, 2, 3)], ids=["cheap", "costly"])
def test_the_sampler_keeps_its_interval_and_looks_less_often_where_a_look_is_costly(
    burned: float, fewest: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def look(self: _Sampler) -> None:
        looks.append(time.thread_time())
        while time.thread_time() - looks[-1] < burned:
            pass

    monkeypatch.setattr(_Sampler, "_look", look)
    with Meter(interval=0.02).phase("idle"):
        time.sleep(0.5)
    assert fewest <= len(looks) <= most  # one at each end is among them
