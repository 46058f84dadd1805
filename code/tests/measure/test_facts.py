import sys
from types import SimpleNamespace

import numpy as np
import pytest

from codelab.measure import device, environment


def test_environment_names_what_is_installed() -> None:
    facts = environment.facts()
    assert facts.packages["numpy"] == np.__version__
    assert facts.cores >= 1
    assert facts.memory_bytes > 1e8
    assert facts.cpu
    assert environment.versions(("no-such-package-anywhere", "pydantic")).keys() == {"pydantic"}


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    asked: dict[str, object] = {}

    def by_index(index: int) -> str:
        asked["index"] = index
        return "handle"

    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=by_index,
        nvmlDeviceGetHandleByUUID=lambda uuid: asked.setdefault("uuid", uuid),
        nvmlSystemGetCudaDriverVersion=lambda: 13000,
        nvmlDeviceGetName=lambda _: b"NVIDIA Test",
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=80_000_000_000, used=5),
        nvmlDeviceGetCount=lambda: 4,
        nvmlSystemGetDriverVersion=lambda: "580.1",
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return asked


def test_device_facts(nvml: dict[str, object]) -> None:
    facts = device.facts()
    assert facts is not None
    assert (facts.name, facts.memory_bytes, facts.count) == ("NVIDIA Test", 80_000_000_000, 4)
    assert (facts.driver, facts.cuda) == ("580.1", "13.0")
    assert nvml["index"] == 0


def test_visible_devices_are_honoured(nvml: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    facts = device.facts()
    assert facts is not None
    assert (nvml["index"], facts.count) == (2, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device.facts() is None


def test_no_driver_means_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device.facts() is None
