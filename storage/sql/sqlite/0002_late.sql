-- What late data needs: where fixes come from, versions of events, and what is still to be told again.

-- A byte a vertex: 1 GPS, 2 network, 4 fused; plus 8 for a location made up by an app; empty: not known of any.
ALTER TABLE tracks ADD COLUMN source BLOB NOT NULL DEFAULT x'';

-- Fixes of which late data shows that they are of another kind than their row in tracks says.
CREATE TABLE judgements (
    driver_id TEXT NOT NULL,
    fix_time DOUBLE NOT NULL,
    kind SMALLINT NOT NULL,
    PRIMARY KEY (driver_id, fix_time)
);

-- Late data amends an event by its next version; the ones before are in former_events.
ALTER TABLE events ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE events ADD COLUMN withdrawn BOOLEAN NOT NULL DEFAULT 0; -- late data shows that it did not happen
CREATE TABLE former_events AS SELECT * FROM events WHERE false;
CREATE UNIQUE INDEX former_events_version ON former_events (event_id, version);

-- Where late fixes were stored and events have not been told again yet.
CREATE TABLE late_spans (
    driver_id TEXT NOT NULL,
    start_time DOUBLE NOT NULL,
    end_time DOUBLE NOT NULL,
    PRIMARY KEY (driver_id, start_time, end_time)
);
