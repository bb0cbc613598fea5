import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from api import warm

ROOT = Path(__file__).parents[2]
DRIVEN = """
import json, sys
from numba.core.registry import CPUDispatcher
from api.warm import warm_up
from storage.packing import copy_of, pack_times, unpack_times, vertices_of
from storage.segments import Rows
from tests.fixes import batch
from tests.tracks import run
from tests.tracker.test_engine import fence, fleet
from tests.tracker.test_deliveries import order
from tracker.codec import decode
from tracker.engine import Engine
from tracker.settings import EngineSettings

def compiled():
    ours = [vars(module) for name, module in sys.modules.items() if name.startswith(("geo.", "tracker.", "storage."))]
    kernels = {value for names in ours for value in names.values() if isinstance(value, CPUDispatcher)}
    return {kernel.py_func.__qualname__: len(kernel.signatures) for kernel in kernels}

warm_up()
before = compiled()
engine = Engine(EngineSettings())
for i in range(3):
    engine.set_geofence(fence(f"f{i}", 100.0 * i))
for i in range(4):
    engine.set_order(order(f"o{i}", driver_id=f"d{i}", east=250.0))
whole = fleet(engine, 4, 40)
engine.ingest(whole)
engine.ingest(whole)
engine.ingest(batch(engine, ["a", "b"], [50.0, 40.0], [0.0, 0.0]))
decode(json.dumps({"type": "location_batch", "seq": 1, "columns": {"latitude": [1], "longitude": [2]}}).encode(), 1.0)
rows = Rows.of(run("a", [1, 2, 3]))
copy_of(rows.track, rows.start, rows.end, rows.fix_times)
copy_of(rows.track, rows.start, rows.end, [pack_times(rows.start)])
vertices_of([])
unpack_times(pack_times(rows.end))
after = compiled()
print({name: n for name, n in after.items() if n != before.get(name)})
"""


def test_nothing_is_left_to_compile() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", DRIVEN], cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    )
    assert shown.stdout.strip() == "{}"


@pytest.mark.parametrize("slow", [True, False])
def test_what_takes_long_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, slow: bool) -> None:
    class Timer:
        """Goes off at once, or not before it is cancelled."""

        def __init__(self, after: float, call: Callable[[], None]) -> None:
            self._call = call

        def start(self) -> None:
            if slow:
                self._call()

        def cancel(self) -> None:
            pass

    monkeypatch.setattr(threading, "Timer", Timer)
    warm.warm_up()
    told = capsys.readouterr().err
    assert ("compiling the engine" in told, told.count("\n")) == ((True, 1) if slow else (False, 0))
