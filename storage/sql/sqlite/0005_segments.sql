-- Rows within one hour, and what has to be compacted.

-- Of a simplified row, the times of all fixes that came in, packed, so that a repeat is known; else empty.
ALTER TABLE tracks ADD COLUMN fix_times BLOB NOT NULL DEFAULT x'';

-- Everyone who ever sent a fix.
CREATE TABLE drivers (
    driver_id TEXT PRIMARY KEY NOT NULL,
    since DOUBLE NOT NULL -- beginning of an hour from which the first stored fixes are
);
INSERT INTO drivers SELECT driver_id, CAST(min(end_time) / 3600 AS INTEGER) * 3600.0 FROM tracks GROUP BY driver_id;

-- What compaction has to do: hours of drivers whose runs are not simplified yet.
CREATE TABLE driver_hours (
    driver_id TEXT NOT NULL,
    hour DOUBLE NOT NULL, -- its beginning, Unix seconds
    merged BOOLEAN NOT NULL DEFAULT 0, -- its runs are merged already, and wait until they are old enough
    PRIMARY KEY (driver_id, hour)
);
CREATE INDEX driver_hours_hour ON driver_hours (merged, hour);
INSERT INTO driver_hours (driver_id, hour) SELECT DISTINCT driver_id, CAST(end_time / 3600 AS INTEGER) * 3600.0 FROM tracks;
