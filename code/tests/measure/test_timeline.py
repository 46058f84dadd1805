"""Memory over time: phases are marked however short, and thinning keeps their ends and the peaks."""

import time

from codelab.measure.timeline import Timeline, thin


def test_each_look_names_its_phase_and_memory_that_was_there() -> None:
    with Timeline(0.01) as timeline:
        with timeline.phase("short"):
            pass
        with timeline.phase("big"):
            held = bytearray(64_000_000)
            time.sleep(0.05)
            with timeline.phase("inner"):
                pass
            time.sleep(0.02)
        del held
    phases = list(dict.fromkeys(row["phase"] for row in timeline.rows))
    assert {"short", "big", "inner"} <= set(phases)
    assert timeline.rows[-1]["phase"] == "start", "the last look comes after every phase"
    times = [row["t"] for row in timeline.rows]
    assert times == sorted(times)
    most = {name: max(row["cpu"] for row in timeline.rows if row["phase"] == name) for name in ("short", "big")}
    assert most["big"] - most["short"] > 50_000_000
    assert {row["gpu_allocated"] for row in timeline.rows} == {None}


def test_thinning_keeps_ends_of_phases_and_the_highest_moment() -> None:
    rows = [
        {"t": i / 10, "phase": "a" if i < 500 else "b", "cpu": 100 + (i == 333), "gpu_device": None}
        for i in range(1000)
    ]
    kept = thin(rows, 50)
    assert len(kept) < 70
    assert [row["t"] for row in kept] == sorted(row["t"] for row in kept)
    for i in (0, 333, 499, 500, 999):
        assert rows[i] in kept
    assert thin(rows[:20], 50) == rows[:20]
    device = [row | {"gpu_device": 7 if i == 701 else 1} for i, row in enumerate(rows)]
    assert device[701] in thin(device, 50)
