-- What people use: fixes as rows, where everyone is, who passed a place, where someone was. See docs/sql.md.

CREATE FUNCTION fix_kind(kind smallint) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT (ARRAY['accepted', 'outlier', 'late', NULL, 'coarse'])[kind + 1] $$;
COMMENT ON FUNCTION fix_kind IS 'The word for a kind of fix';

CREATE VIEW fixes AS
SELECT
    segment.driver_id,
    to_timestamp(ST_M(vertex.geom)) AS fix_time,
    ST_X(vertex.geom) AS longitude,
    ST_Y(vertex.geom) AS latitude,
    ST_Force2D(vertex.geom)::geometry(Point, 4326) AS geom,
    segment_measure(segment.speed, vertex.path[1], 100) AS speed,
    segment_measure(segment.course, vertex.path[1], 100) AS course,
    segment_measure(segment.accuracy, vertex.path[1], 10) AS accuracy,
    fix_kind(coalesce(judgement.kind, segment.kind)) AS kind,
    CASE WHEN segment.source = '' THEN 0 ELSE get_byte(segment.source, vertex.path[1] - 1) END AS source,
    segment.start_time,
    segment.end_time
FROM segments AS segment
CROSS JOIN LATERAL ST_DumpPoints(segment_path(segment.path)) AS vertex
LEFT JOIN judgements AS judgement
    ON judgement.driver_id = segment.driver_id AND judgement.fix_time = ST_M(vertex.geom)
WHERE NOT (vertex.path[1] = 1 AND segment.connected)
    AND NOT (vertex.path[1] = 2 AND segment.start_time = segment.end_time);
COMMENT ON VIEW fixes IS 'Each stored fix once, as a row; fixes_between is the fast way to those of some hours';
COMMENT ON COLUMN fixes.driver_id IS 'Whose';
COMMENT ON COLUMN fixes.fix_time IS 'When it was measured';
COMMENT ON COLUMN fixes.longitude IS 'Degrees, WGS 84';
COMMENT ON COLUMN fixes.latitude IS 'Degrees, WGS 84';
COMMENT ON COLUMN fixes.geom IS 'The same as a point';
COMMENT ON COLUMN fixes.speed IS 'm/s; NULL is not known';
COMMENT ON COLUMN fixes.course IS 'Degrees from true north; NULL is not known';
COMMENT ON COLUMN fixes.accuracy IS 'Metres, as reported; NULL is not known';
COMMENT ON COLUMN fixes.kind IS
    'accepted, late (older than what was stored before), outlier (not believed), coarse (a much better fix was seconds old)';
COMMENT ON COLUMN fixes.source IS '1 GPS, 2 network, 4 fused; plus 8 for a location made up by an app; 0: not known';
COMMENT ON COLUMN fixes.start_time IS 'Of its row in segments, Unix seconds';
COMMENT ON COLUMN fixes.end_time IS 'Of its row in segments, Unix seconds; the partition follows from it';

CREATE FUNCTION fixes_between("from" timestamptz, "to" timestamptz, driver text DEFAULT NULL) RETURNS SETOF fixes
    LANGUAGE sql STABLE
    AS $$
        SELECT * FROM fixes
        WHERE fix_time >= "from" AND fix_time < "to"
          AND end_time >= extract(epoch FROM "from")::double precision
          AND end_time < extract(epoch FROM "to")::double precision + 4200
          AND start_time < extract(epoch FROM "to")::double precision
          AND (driver IS NULL OR driver_id = driver)
    $$;
COMMENT ON FUNCTION fixes_between IS 'Fixes in [from, to), of one driver or of all; reads only the weeks and rows of that time';

CREATE VIEW latest_positions AS
SELECT
    drivers.driver_id,
    to_timestamp(newest.end_time) AS fix_time,
    ST_X(newest.last) AS longitude,
    ST_Y(newest.last) AS latitude,
    ST_Force2D(newest.last)::geometry(Point, 4326) AS geom,
    segment_measure(newest.speed, newest.vertices, 100) AS speed,
    segment_measure(newest.course, newest.vertices, 100) AS course,
    segment_measure(newest.accuracy, newest.vertices, 10) AS accuracy
FROM drivers
CROSS JOIN LATERAL (
    SELECT
        ST_M(ST_EndPoint(segment_path(path))) AS end_time,
        ST_EndPoint(segment_path(path)) AS last,
        ST_NPoints(segment_path(path)) AS vertices,
        speed,
        course,
        accuracy
    FROM segments AS segment
    WHERE segment.driver_id = drivers.driver_id AND kind IN (0, 2)
      AND NOT EXISTS (
          SELECT FROM judgements AS judgement
          WHERE judgement.driver_id = segment.driver_id AND judgement.fix_time = segment.end_time
            AND judgement.kind IN (1, 4)
      )
    ORDER BY segment.end_time DESC
    LIMIT 1
) AS newest;
COMMENT ON VIEW latest_positions IS 'The newest fix of each driver that is believed, as measured';
COMMENT ON COLUMN latest_positions.driver_id IS 'Whose';
COMMENT ON COLUMN latest_positions.fix_time IS 'When it was measured';
COMMENT ON COLUMN latest_positions.longitude IS 'Degrees, WGS 84';
COMMENT ON COLUMN latest_positions.latitude IS 'Degrees, WGS 84';
COMMENT ON COLUMN latest_positions.geom IS 'The same as a point';
COMMENT ON COLUMN latest_positions.speed IS 'm/s; NULL is not known';
COMMENT ON COLUMN latest_positions.course IS 'Degrees from true north; NULL is not known';
COMMENT ON COLUMN latest_positions.accuracy IS 'Metres, as reported; NULL is not known';

CREATE FUNCTION position_at(driver text, at timestamptz)
    RETURNS TABLE (longitude double precision, latitude double precision, geom geometry, before timestamptz, after timestamptz)
    LANGUAGE sql STABLE SET jit = off
    AS $$
        WITH near AS (
            SELECT fix.* FROM fixes_between(at - interval '600 s', at + interval '600.001 s', driver) AS fix
            WHERE fix.kind IN ('accepted', 'late')
        ), one AS (
            SELECT * FROM near WHERE fix_time <= at ORDER BY fix_time DESC LIMIT 1
        ), other AS (
            SELECT * FROM near WHERE fix_time > at ORDER BY fix_time LIMIT 1
        ), placed AS (
            SELECT one.*, other.fix_time AS after,
                coalesce(extract(epoch FROM at - one.fix_time) / extract(epoch FROM other.fix_time - one.fix_time), 0) AS share,
                coalesce(other.longitude - one.longitude - 360 * round((other.longitude - one.longitude) / 360), 0) AS east,
                coalesce(other.latitude - one.latitude, 0) AS north
            FROM one LEFT JOIN other ON other.fix_time - one.fix_time <= interval '600 s'
            WHERE one.fix_time = at OR other.fix_time IS NOT NULL
        ), found AS (
            SELECT placed.longitude + share * east AS x, placed.latitude + share * north AS y, fix_time, placed.after FROM placed
        )
        SELECT x - 360 * round(x / 360), y, ST_SetSRID(ST_MakePoint(x - 360 * round(x / 360), y), 4326), fix_time, found.after
        FROM found
    $$;
COMMENT ON FUNCTION position_at IS
    'Where a driver was, on the line between the fixes before and after; no row where they lie more than 600 s apart';

CREATE FUNCTION passed_near(point geometry, radius_m double precision, "from" timestamptz, "to" timestamptz)
    RETURNS TABLE (driver_id text, closest_at timestamptz, distance_m double precision)
    LANGUAGE sql STABLE SET jit = off -- compiling it takes longer than running it
    AS $$
        WITH asked AS (
            -- Metres a degree, measured at longitude 0: they are the same everywhere, and no point there is past 180 degrees.
            SELECT
                ST_X(point) AS x,
                ST_Y(point) AS y,
                extract(epoch FROM "from")::double precision AS since,
                extract(epoch FROM "to")::double precision AS until,
                1e3 * ST_Distance(here, ST_MakePoint(1e-3, ST_Y(point))::geography) AS east,
                1e3 * ST_Distance(here, ST_MakePoint(0, ST_Y(point) - 1e-3 * sign(ST_Y(point) + 1e-9))::geography) AS north,
                here
            FROM (SELECT ST_MakePoint(0, ST_Y(point))::geography AS here) AS at_0
        ), boxes AS (
            -- A late fix may change the way past the place although no row of it comes near. Near the antimeridian a box
            -- stands on the other side, too, a degree wide: a row that lies on both sides is seen there.
            SELECT
                late,
                least(x + turn - metres / east, 180 - sign(turn)) AS west,
                greatest(x + turn + metres / east, -180 - sign(turn)) AS east,
                y - metres / north AS south,
                y + metres / north AS north
            FROM asked
            CROSS JOIN (VALUES (false, 1.02 * radius_m), (true, 1.02 * (radius_m + 2400))) AS kinds (late, metres)
            CROSS JOIN (VALUES (0), (-360), (360)) AS turns (turn)
            WHERE turn = 0 OR sign(turn) * x - metres / east < -179
        ), candidates AS (
            SELECT segment.driver_id, segment.start_time, segment.end_time
            FROM boxes CROSS JOIN segments AS segment
            WHERE segment_path(segment.path)::geometry(LineStringM, 4326) && ST_MakeEnvelope(west, south, boxes.east, boxes.north, 4326)
              AND floor(segment.end_time / 3600) >= floor(extract(epoch FROM "from")::double precision / 3600)
              AND floor(segment.end_time / 3600) <= floor((extract(epoch FROM "to")::double precision + 4200) / 3600)
              AND segment.end_time >= extract(epoch FROM "from")::double precision
              AND segment.end_time < extract(epoch FROM "to")::double precision + 4200
              AND segment.start_time < extract(epoch FROM "to")::double precision
              AND (segment.kind = 2 OR NOT late)
        ), hours AS (
            SELECT DISTINCT candidates.driver_id, hour
            FROM candidates CROSS JOIN LATERAL generate_series(
                floor(start_time / 3600)::bigint * 3600, floor((end_time + 600) / 3600)::bigint * 3600, 3600
            ) AS hour
        ), vertices AS (
            SELECT DISTINCT ON (segment.driver_id, ST_M(vertex.geom))
                segment.driver_id, ST_M(vertex.geom) AS m, ST_X(vertex.geom) AS x, ST_Y(vertex.geom) AS y,
                coalesce(judgement.kind, segment.kind) IN (0, 2) AS believed
            FROM hours
            JOIN segments AS segment ON segment.driver_id = hours.driver_id
                AND segment.end_time >= hours.hour AND segment.end_time < hours.hour + 3600
            CROSS JOIN LATERAL ST_DumpPoints(segment_path(segment.path)) AS vertex
            LEFT JOIN judgements AS judgement
                ON judgement.driver_id = segment.driver_id AND judgement.fix_time = ST_M(vertex.geom)
        ), steps AS (
            SELECT
                v.driver_id,
                v.m AS m1,
                coalesce(lag(v.m) OVER one, v.m) AS m0,
                (v.x - asked.x - 360 * round((v.x - asked.x) / 360)) * east AS x1,
                (v.y - asked.y) * north AS y1,
                coalesce(v.x - lag(v.x) OVER one - 360 * round((v.x - lag(v.x) OVER one) / 360), 0) * east AS dx,
                coalesce(v.y - lag(v.y) OVER one, 0) * north AS dy,
                since,
                until
            FROM vertices AS v CROSS JOIN asked
            WHERE believed
            WINDOW one AS (PARTITION BY v.driver_id ORDER BY v.m)
        ), legs AS (
            SELECT steps.driver_id, x1 - dx AS x0, y1 - dy AS y0, m0, x1, y1, m1, since, until FROM steps
        ), moving AS (
            SELECT
                legs.driver_id, x0, y0, m0, x1 - x0 AS dx, y1 - y0 AS dy, m1 - m0 AS dm,
                CASE WHEN m1 > m0 THEN greatest((since - m0) / (m1 - m0), 0) ELSE 0 END AS first,
                CASE WHEN m1 > m0 THEN least((until - m0) / (m1 - m0), 1) ELSE 0 END AS last,
                coalesce(-(x0 * (x1 - x0) + y0 * (y1 - y0)) / nullif((x1 - x0) ^ 2 + (y1 - y0) ^ 2, 0), 0) AS nearest
            FROM (
                -- Over a silence nobody knows the way: only its ends are.
                SELECT legs.driver_id, x0, y0, m0, x1, y1, m1, since, until FROM legs WHERE m1 - m0 <= 600
                UNION ALL
                SELECT legs.driver_id, x1, y1, m1, x1, y1, m1, since, until FROM legs WHERE m1 - m0 > 600
            ) AS legs
            WHERE m1 >= since AND m0 < until
        ), closest AS (
            SELECT DISTINCT ON (moving.driver_id)
                moving.driver_id,
                m0 + least(greatest(nearest, first), last) * dm AS m,
                x0 + least(greatest(nearest, first), last) * dx AS x,
                y0 + least(greatest(nearest, first), last) * dy AS y
            FROM moving
            ORDER BY moving.driver_id,
                (x0 + least(greatest(nearest, first), last) * dx) ^ 2 + (y0 + least(greatest(nearest, first), last) * dy) ^ 2
        ), measured AS (
            SELECT closest.driver_id, to_timestamp(m) AS closest_at,
                ST_Distance(here, ST_MakePoint(closest.x / east, asked.y + closest.y / north)::geography) AS distance_m
            FROM closest CROSS JOIN asked
        )
        SELECT * FROM measured WHERE measured.distance_m <= radius_m ORDER BY 2, 1
    $$;
COMMENT ON FUNCTION passed_near IS
    'Who came within a radius of a point in [from, to), when he was closest, and how close; for radii up to some km';

-- What has no comment yet.
COMMENT ON TABLE schema_migrations IS 'Steps of the schema that were applied';
COMMENT ON COLUMN destinations.order_id IS 'The order';
COMMENT ON COLUMN destinations.driver_id IS 'Who delivers it';
COMMENT ON COLUMN destinations.status IS 'How far it is';
COMMENT ON COLUMN destinations.shape IS 'A point, or the area that counts as there';
COMMENT ON COLUMN eta_models.version IS 'Counts from 1';
COMMENT ON COLUMN eta_models.created_at IS 'Unix seconds';
COMMENT ON COLUMN eta_models.trips IS 'How many finished trips it was learned from';
COMMENT ON COLUMN eta_models.model IS 'As the server reads it';
COMMENT ON COLUMN eta_scores.order_id IS 'Whose arrival';
COMMENT ON COLUMN eta_scores.driver_id IS 'Who arrived';
COMMENT ON COLUMN eta_scores.predicted_at IS 'When it was announced, Unix seconds';
COMMENT ON COLUMN eta_scores.arrived_at IS 'When the driver arrived, Unix seconds';
COMMENT ON COLUMN eta_scores.eta IS 'The announced arrival (median), Unix seconds';
COMMENT ON COLUMN eta_scores.eta_low IS 'Early bound of the announced interval, Unix seconds';
COMMENT ON COLUMN eta_scores.eta_high IS 'Late bound of the announced interval, Unix seconds';
COMMENT ON COLUMN events.driver_id IS 'Who moved';
COMMENT ON COLUMN events.geofence_id IS 'Of a transition, where';
COMMENT ON COLUMN events.order_id IS 'Of a delivery, whose';
COMMENT ON COLUMN events.customer_id IS 'Of a delivery, to whom';
COMMENT ON COLUMN events.eta_low IS 'Early bound of the predicted arrival, Unix seconds';
COMMENT ON COLUMN events.eta_high IS 'Late bound of the predicted arrival, Unix seconds';
COMMENT ON COLUMN former_events.driver_id IS 'As in events';
COMMENT ON COLUMN former_events.geofence_id IS 'As in events';
COMMENT ON COLUMN former_events.order_id IS 'As in events';
COMMENT ON COLUMN former_events.customer_id IS 'As in events';
COMMENT ON COLUMN former_events.eta_low IS 'As in events';
COMMENT ON COLUMN former_events.eta_high IS 'As in events';
COMMENT ON COLUMN geofence_areas.geofence_id IS 'Which';
COMMENT ON COLUMN geofence_areas.area IS 'Its shape; a circle as a polygon';
COMMENT ON COLUMN geofences.geofence_id IS 'Which';
COMMENT ON COLUMN judgements.driver_id IS 'Whose fix';
COMMENT ON COLUMN judgements.fix_time IS 'Which fix, Unix seconds';
COMMENT ON COLUMN late_spans.driver_id IS 'Whose fixes';
COMMENT ON COLUMN late_spans.start_time IS 'fix_time of the first, Unix seconds';
COMMENT ON COLUMN late_spans.end_time IS 'fix_time of the last, Unix seconds';
COMMENT ON COLUMN messages.topic IS 'Who may hear it';
COMMENT ON COLUMN messages.priority IS 'critical, high, normal or low';
COMMENT ON COLUMN orders.order_id IS 'Which';
COMMENT ON COLUMN orders.customer_id IS 'To whom';
COMMENT ON COLUMN orders.driver_id IS 'Who delivers it; NULL is nobody yet';
COMMENT ON COLUMN orders.status IS 'How far its delivery is';
COMMENT ON COLUMN routes.route_id IS 'Which';
COMMENT ON COLUMN routes.driver_id IS 'Who drives it';
COMMENT ON COLUMN schema_migrations.version IS 'Number of the file';
COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of the file';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied';
COMMENT ON COLUMN store.one IS 'There is one row';
COMMENT ON COLUMN topics.topic IS 'As in messages';
