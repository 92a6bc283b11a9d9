"""How much memory a log takes that is read from Parquet: -m measure -s prints it, LOG_EVENTS says how many events."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

EVENTS = int(os.environ.get("LOG_EVENTS", "20000000"))
AT_ONCE = 1_000_000
READ = """
import sys
from pathlib import Path
from models.events_file import read_log

def peak():  # of this process alone: rusage would begin with that of the one that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

before = peak()
log = read_log(Path(sys.argv[1]))
arrays = sum(getattr(log, name).nbytes for name in ("first", "item", "action", "ts_ms", "split"))
print(len(log.item), before, peak(), arrays)
"""


@pytest.mark.measure
def test_a_log_is_read_in_a_few_times_the_memory_of_its_arrays(tmp_path: Path) -> None:
    for start in range(0, EVENTS, AT_ONCE):
        row = pl.int_range(start, min(start + AT_ONCE, EVENTS), dtype=pl.UInt64)
        part = pl.select(
            user_id=pl.format("user{}", (row.hash(1) % (EVENTS // 20)).cast(pl.String).str.zfill(12)),
            item_id=pl.format("item{}", (row.hash(2) % 100_000).cast(pl.String).str.zfill(12)),
            action=pl.when(row.hash(3) % 10 < 9).then(pl.lit("view")).otherwise(pl.lit("purchase")),
            ts_ms=1_700_000_000_000 + (row.hash(4) % 10**10).cast(pl.Int64),
            category=(row.hash(5) % 500).cast(pl.String),
        )
        part.write_parquet(tmp_path / f"part{start:012d}.parquet")
    file = tmp_path / "events.parquet"
    pl.scan_parquet(tmp_path / "part*.parquet").sink_parquet(file, row_group_size=500_000)
    shown = subprocess.run([sys.executable, "-c", READ, str(file)], check=True, capture_output=True, text=True).stdout
    events, before, peak, arrays = map(int, shown.split())
    each = (peak - before) / events
    print(f"{events:,} events: peak {peak / 2**30:.2f} GB, {each:.0f} bytes an event, arrays {arrays / events:.0f}")
    assert events == EVENTS
    assert peak - before < 5 * arrays + 2**28  # batches take the same whatever the number of events
