import numpy as np

from tests.fixes import T0, batch
from tracker.drivers import DriverTable
from tracker.engine import Engine
from tracker.settings import EngineSettings


def test_rows_stay_while_the_table_grows() -> None:
    table = DriverTable()
    rows = [table.row(f"d{i}") for i in range(1000)]
    assert rows == list(range(1000))
    assert table.row("d7") == 7
    assert table.find("nobody") is None
    assert len(table.newest) >= 1000
    assert len(table.filter) == len(table.newest)


def test_latest_leaves_out_who_was_never_seen() -> None:
    engine = Engine(EngineSettings())
    engine.driver_row("silent")
    engine.ingest(batch(engine, "d", [0.0], 0.0, speed=3.0))
    (latest,) = engine.latest()
    assert (latest.driver_id, latest.fix_time, latest.speed) == ("d", T0, 3.0)
    assert np.isnan(latest.course)
    assert engine.latest(["silent", "nobody"]) == []
