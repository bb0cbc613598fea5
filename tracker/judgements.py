"""Second thoughts: of which kind a fix is after all, as the fixes after it, or late ones before it, have shown."""

from collections.abc import Sequence

from tracker.errors import Flag
from tracker.records import Revisions

Judgement = tuple[str, float, Flag]
"""driver_id, fix_time, of which kind the fix is."""


def judgements(revised: Revisions, driver_ids: Sequence[str]) -> list[Judgement]:
    """What is known in the end of each fix that was judged anew; `driver_ids[row]` is the driver of a row."""
    columns = (revised.driver.tolist(), revised.fix_time.tolist(), revised.outlier.tolist())
    last = {(row, fix_time): outlier for row, fix_time, outlier in zip(*columns, strict=True)}
    return [
        (driver_ids[row], fix_time, Flag.OUTLIER if outlier else Flag.ACCEPTED)
        for (row, fix_time), outlier in last.items()
    ]
