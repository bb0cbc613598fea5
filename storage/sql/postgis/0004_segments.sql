-- Tracks in a third of the bytes, by week: packed rows in `segments`, which the view `tracks` shows as trajectories.

CREATE TABLE segments (
    start_time double precision NOT NULL,
    end_time double precision NOT NULL,
    kind smallint NOT NULL,
    connected boolean NOT NULL,
    driver_id text COLLATE "C" NOT NULL,
    path bytea NOT NULL,
    speed bytea NOT NULL,
    course bytea NOT NULL,
    accuracy bytea NOT NULL,
    source bytea NOT NULL,
    fix_times bytea NOT NULL
) PARTITION BY RANGE (end_time);
COMMENT ON TABLE segments IS
    'Fixes as measured, packed: one run of one driver within one hour a row; read the views tracks and fixes instead';
COMMENT ON COLUMN segments.start_time IS 'First fix_time, Unix seconds';
COMMENT ON COLUMN segments.end_time IS 'Last fix_time; start_time is never more than 4200 s before it';
COMMENT ON COLUMN segments.kind IS
    '0 accepted, 1 outlier, 2 late (older than what was stored before), 4 coarse (a much better fix was seconds old)';
COMMENT ON COLUMN segments.connected IS 'The first vertex repeats the last one of the run before';
COMMENT ON COLUMN segments.driver_id IS 'Whose fixes';
COMMENT ON COLUMN segments.path IS
    'TWKB LineStringM: longitude, latitude in 1e-7 degrees (WGS 84), m fix_time in ms; a single fix stands twice';
COMMENT ON COLUMN segments.speed IS 'cm/s at each vertex, two bytes, the low one first; 65535: not known; empty: of none';
COMMENT ON COLUMN segments.course IS 'Hundredths of a degree from true north, as speed';
COMMENT ON COLUMN segments.accuracy IS 'Decimetres as the device reported them, as speed; 65534: or more';
COMMENT ON COLUMN segments.source IS
    'A byte a vertex: 1 GPS, 2 network, 4 fused; plus 8 for a location made up by an app; empty: not known of any';
COMMENT ON COLUMN segments.fix_times IS
    'Of a simplified row, the times of all fixes that came in, packed, so that a repeat is known; else empty';

CREATE FUNCTION segment_path(path bytea) RETURNS geometry
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT ST_SetSRID(ST_GeomFromTWKB(path), 4326) $$;
COMMENT ON FUNCTION segment_path IS 'A packed path as a LineStringM in WGS 84';

CREATE FUNCTION segment_measure(packed bytea, at integer, steps double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
        SELECT CASE
            WHEN at <= length(packed) / 2
            THEN nullif(get_byte(packed, 2 * at - 2) + 256 * get_byte(packed, 2 * at - 1), 65535) / steps
        END
    $$;
COMMENT ON FUNCTION segment_measure IS 'Speed, course or accuracy of a vertex, counted from 1; NULL is not known';

CREATE FUNCTION segment_measures(packed bytea, steps double precision) RETURNS real[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT array_agg(segment_measure(packed, at, steps) ORDER BY at) FROM generate_series(1, length(packed) / 2) AS at $$;
COMMENT ON FUNCTION segment_measures IS 'Speed, course or accuracy of each vertex; NULL is not known, or of none';

CREATE INDEX segments_driver_time ON segments (driver_id, end_time);
-- Rows by hour, and within an hour by place: who was here then reads a hundred pages of a week with a million rows, where
-- an index over longitude, latitude and time reads thousands.
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE INDEX segments_hour_path ON segments
    USING gist ((floor(end_time / 3600)), (segment_path(path)::geometry(LineStringM, 4326)));

CREATE FUNCTION make_segments_partition(week integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
    DECLARE
        low double precision := week * 604800.0;
        high double precision := low + 604800.0;
        partition text := format('segments_w%s', to_char(week, 'FM0000'));
    BEGIN
        PERFORM pg_advisory_xact_lock('segments'::regclass::bigint);
        IF to_regclass(partition) IS NOT NULL THEN
            IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(partition)) THEN
                RETURN;
            END IF;
            EXECUTE format('DROP TABLE %I', partition); -- detached, and not dropped any more
        END IF;
        EXECUTE format(
            'CREATE TABLE %I (LIKE segments INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS, '
            'CONSTRAINT week CHECK (end_time >= %L AND end_time < %L))', partition, low, high
        );
        EXECUTE format('COMMENT ON TABLE %I IS %L', partition, format(
            'segments that end from %s to %s', to_timestamp(low) AT TIME ZONE 'UTC', to_timestamp(high) AT TIME ZONE 'UTC'
        ));
        -- Attaching holds up nobody, as creating a partition at once would; the constraint spares looking at rows.
        EXECUTE format('ALTER TABLE segments ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, low, high);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT week', partition);
    END
    $$;
COMMENT ON FUNCTION make_segments_partition IS 'The partition of a week, counted from 1970-01-01; made if there is none';

CREATE TABLE drivers (
    driver_id text COLLATE "C" PRIMARY KEY,
    since double precision NOT NULL
);
COMMENT ON TABLE drivers IS 'Everyone who ever sent a fix';
COMMENT ON COLUMN drivers.driver_id IS 'As in every other table';
COMMENT ON COLUMN drivers.since IS 'Beginning of an hour from which the first stored fixes are, Unix seconds';

CREATE TABLE driver_hours (
    driver_id text COLLATE "C" NOT NULL,
    hour double precision NOT NULL,
    merged boolean NOT NULL DEFAULT false,
    PRIMARY KEY (driver_id, hour)
);
CREATE INDEX driver_hours_hour ON driver_hours (merged, hour);
COMMENT ON TABLE driver_hours IS 'What compaction has to do: hours of drivers whose runs are not simplified yet';
COMMENT ON COLUMN driver_hours.driver_id IS 'Whose';
COMMENT ON COLUMN driver_hours.hour IS 'Beginning of the hour, Unix seconds';
COMMENT ON COLUMN driver_hours.merged IS 'Its runs are merged already, and wait until they are old enough to be simplified';

-- What is stored goes into hours: each vertex that is not a repeat, with the one before where the line goes on.
DROP VIEW trajectories;
ALTER TABLE tracks RENAME TO former_tracks;
CREATE TEMPORARY TABLE vertex ON COMMIT DROP AS
SELECT
    former.id,
    former.driver_id,
    former.kind,
    point.path[1] AS at,
    ST_X(point.geom) AS x,
    ST_Y(point.geom) AS y,
    ST_M(point.geom) AS m,
    former.speed[point.path[1]] AS speed,
    former.course[point.path[1]] AS course,
    former.accuracy[point.path[1]] AS accuracy,
    CASE WHEN former.source = '' THEN 0 ELSE get_byte(former.source, point.path[1] - 1) END AS source,
    former.connected AND point.path[1] = 1 AS repeats,
    lag(ST_M(point.geom)) OVER one AS before,
    lag(former.connected AND point.path[1] = 1) OVER one AS after_repeat
FROM former_tracks AS former CROSS JOIN LATERAL ST_DumpPoints(former.path) AS point
WHERE former.start_time < former.end_time OR point.path[1] = 1
WINDOW one AS (PARTITION BY former.id ORDER BY point.path[1]);

SELECT make_segments_partition(week) FROM (SELECT DISTINCT floor(m / 604800)::integer AS week FROM vertex) AS weeks;

CREATE FUNCTION pg_temp.word(value real, steps double precision) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$
        SELECT set_byte(set_byte('\x0000', 0, step & 255), 1, step >> 8)
        FROM (
            SELECT CASE WHEN value IS NULL OR value = 'NaN' THEN 65535
                   ELSE least(greatest(round(value * steps), 0), 65534)::integer END AS step
        ) AS steps
    $$;
WITH placed AS (
    SELECT *, floor(m / 3600) AS hour, false AS link FROM vertex WHERE NOT repeats
    UNION ALL
    SELECT earlier.*, floor(later.m / 3600), true
    FROM vertex AS later JOIN vertex AS earlier ON earlier.id = later.id AND earlier.at = later.at - 1
    WHERE later.m - later.before <= 600
      AND (later.after_repeat OR later.kind = 0 AND floor(later.m / 3600) <> floor(later.before / 3600))
), doubled AS (
    SELECT placed.*, count(*) OVER (PARTITION BY id, hour) AS vertices FROM placed
)
INSERT INTO segments
SELECT
    min(m), max(m), min(kind), bool_or(link), min(driver_id),
    ST_AsTWKB(ST_MakeLine(ST_MakePointM(x, y, m) ORDER BY m), 7, 0, 3),
    CASE WHEN bool_or(speed <> 'NaN') THEN string_agg(pg_temp.word(speed, 100), '' ORDER BY m) ELSE '' END,
    CASE WHEN bool_or(course <> 'NaN') THEN string_agg(pg_temp.word(course, 100), '' ORDER BY m) ELSE '' END,
    CASE WHEN bool_or(accuracy <> 'NaN') THEN string_agg(pg_temp.word(accuracy, 10), '' ORDER BY m) ELSE '' END,
    CASE WHEN bool_or(source <> 0) THEN string_agg(set_byte('\x00', 0, source), '' ORDER BY m) ELSE '' END,
    ''
FROM doubled
CROSS JOIN LATERAL generate_series(1, CASE vertices WHEN 1 THEN 2 ELSE 1 END) AS twice
GROUP BY id, hour;

INSERT INTO drivers SELECT driver_id, floor(min(end_time) / 3600) * 3600 FROM segments GROUP BY driver_id;
INSERT INTO driver_hours (driver_id, hour) SELECT DISTINCT driver_id, floor(end_time / 3600) * 3600 FROM segments;
DROP TABLE former_tracks;

CREATE VIEW tracks AS
SELECT
    driver_id,
    kind,
    connected,
    start_time,
    end_time,
    segment_path(path)::geometry(LineStringM, 4326) AS path,
    segment_measures(speed, 100) AS speed,
    segment_measures(course, 100) AS course,
    segment_measures(accuracy, 10) AS accuracy,
    source,
    fix_times
FROM segments;
COMMENT ON VIEW tracks IS 'Fixes as measured: one run of one driver within one hour a row, a PostGIS trajectory';
COMMENT ON COLUMN tracks.driver_id IS 'Whose fixes';
COMMENT ON COLUMN tracks.kind IS
    '0 accepted, 1 outlier, 2 late (older than what was stored before), 4 coarse (a much better fix was seconds old)';
COMMENT ON COLUMN tracks.connected IS 'The first vertex repeats the last one of the run before';
COMMENT ON COLUMN tracks.start_time IS 'First fix_time, Unix seconds';
COMMENT ON COLUMN tracks.end_time IS 'Last fix_time; start_time is never more than 4200 s before it: name both to search few partitions';
COMMENT ON COLUMN tracks.path IS 'x longitude, y latitude (WGS 84), m fix_time in Unix seconds; a single fix stands twice';
COMMENT ON COLUMN tracks.speed IS 'm/s at each vertex; NULL is not known, or of none';
COMMENT ON COLUMN tracks.course IS 'Degrees from true north at each vertex; NULL is not known, or of none';
COMMENT ON COLUMN tracks.accuracy IS 'Metres at each vertex, as reported; NULL is not known, or of none';
COMMENT ON COLUMN tracks.source IS
    'A byte a vertex: 1 GPS, 2 network, 4 fused; plus 8 for a location made up by an app; empty: not known of any';
COMMENT ON COLUMN tracks.fix_times IS 'Packed times of all fixes, where the path is a simplified one; else empty';

CREATE VIEW trajectories AS
SELECT driver_id, to_timestamp(start_time) AS started_at, to_timestamp(end_time) AS ended_at, path
FROM tracks WHERE kind = 0;
COMMENT ON VIEW trajectories IS 'Where drivers went, for maps such as QGIS; without late fixes and outliers';
COMMENT ON COLUMN trajectories.driver_id IS 'Whose way';
COMMENT ON COLUMN trajectories.started_at IS 'When the first vertex was measured';
COMMENT ON COLUMN trajectories.ended_at IS 'When the last vertex was measured';
COMMENT ON COLUMN trajectories.path IS 'As in tracks';
