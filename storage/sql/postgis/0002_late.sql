-- What late data needs: where fixes come from, versions of events, and what is still to be told again.

ALTER TABLE tracks ADD COLUMN source bytea NOT NULL DEFAULT '';
COMMENT ON COLUMN tracks.source IS
    'A byte a vertex: 1 GPS, 2 network, 4 fused; plus 8 for a location made up by an app; empty: not known of any';
COMMENT ON COLUMN tracks.kind IS
    '0 accepted, 1 outlier, 2 late (older than what was stored before), 4 coarse (a much better fix was seconds old)';

CREATE TABLE judgements (
    driver_id text COLLATE "C" NOT NULL,
    fix_time double precision NOT NULL,
    kind smallint NOT NULL,
    PRIMARY KEY (driver_id, fix_time)
);
COMMENT ON TABLE judgements IS 'Fixes of which late data shows that they are of another kind than their row says';
COMMENT ON COLUMN judgements.kind IS 'As in tracks';

ALTER TABLE events
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;
COMMENT ON TABLE events IS 'What happened, each once, as it is known now: transitions of geofences and steps of deliveries';
COMMENT ON COLUMN events.version IS 'Counts from 1; late data amended the ones before, which are in former_events';
COMMENT ON COLUMN events.withdrawn IS 'Late data shows that it did not happen';

CREATE TABLE former_events (LIKE events INCLUDING COMMENTS, PRIMARY KEY (event_id, version));
COMMENT ON TABLE former_events IS 'Events as they were known before late data amended them';

CREATE TABLE late_spans (
    driver_id text COLLATE "C" NOT NULL,
    start_time double precision NOT NULL,
    end_time double precision NOT NULL,
    PRIMARY KEY (driver_id, start_time, end_time)
);
COMMENT ON TABLE late_spans IS 'Where late fixes were stored and events have not been told again yet; Unix seconds';
