-- Times are Unix seconds (double precision), as M is in the paths; to_timestamp() makes them readable.

CREATE EXTENSION IF NOT EXISTS postgis;

CREATE TABLE store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch text NOT NULL,
    last_commit text NOT NULL DEFAULT ''
) WITH (fillfactor = 10);
INSERT INTO store (epoch) VALUES (replace(gen_random_uuid()::text, '-', ''));
COMMENT ON TABLE store IS 'One row: what belongs to the store as a whole';
COMMENT ON COLUMN store.epoch IS 'Made with the store; message seqs only compare within it';
COMMENT ON COLUMN store.last_commit IS 'Token of the newest transaction: tells a writer that lost the answer to COMMIT how it ended';

CREATE TABLE tracks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    driver_id text COLLATE "C" NOT NULL,
    kind smallint NOT NULL,
    connected boolean NOT NULL,
    start_time double precision NOT NULL,
    end_time double precision NOT NULL,
    path geometry(LineStringM, 4326) NOT NULL,
    speed real[] NOT NULL,
    course real[] NOT NULL,
    accuracy real[] NOT NULL
);
-- By end_time first: nearly all look-ups are for recent times, and then read only rows from there to now.
CREATE INDEX tracks_driver_time ON tracks (driver_id, end_time, start_time);
CREATE INDEX tracks_path ON tracks USING gist (path gist_geometry_ops_nd);
COMMENT ON TABLE tracks IS 'Fixes as measured: one run of one driver a row, a PostGIS trajectory';
COMMENT ON COLUMN tracks.kind IS '0 accepted, 1 outlier (stored, but not believed), 2 late (older than what was stored before)';
COMMENT ON COLUMN tracks.connected IS 'The first vertex repeats the last one of the run before';
COMMENT ON COLUMN tracks.start_time IS 'fix_time of the first vertex, Unix seconds';
COMMENT ON COLUMN tracks.end_time IS 'fix_time of the last vertex, Unix seconds';
COMMENT ON COLUMN tracks.path IS 'x longitude, y latitude (WGS 84), m fix_time in Unix seconds; a single fix stands twice';
COMMENT ON COLUMN tracks.speed IS 'm/s at each vertex; NaN is not known';
COMMENT ON COLUMN tracks.course IS 'Degrees from true north at each vertex; NaN is not known';
COMMENT ON COLUMN tracks.accuracy IS 'Metres at each vertex, as reported; NaN is not known';

CREATE TABLE events (
    event_id text COLLATE "C" PRIMARY KEY,
    type text NOT NULL,
    kind text NOT NULL,
    driver_id text COLLATE "C" NOT NULL,
    geofence_id text COLLATE "C",
    order_id text COLLATE "C",
    customer_id text COLLATE "C",
    occurred_at double precision NOT NULL,
    detected_at double precision NOT NULL,
    confidence double precision NOT NULL,
    late boolean NOT NULL,
    evidence jsonb NOT NULL,
    eta double precision,
    eta_low double precision,
    eta_high double precision
);
CREATE INDEX events_time ON events (occurred_at, event_id);
CREATE INDEX events_driver ON events (driver_id, occurred_at, event_id);
CREATE INDEX events_order ON events (order_id, occurred_at, event_id) WHERE order_id IS NOT NULL;
CREATE INDEX events_geofence ON events (geofence_id, occurred_at, event_id) WHERE geofence_id IS NOT NULL;
COMMENT ON TABLE events IS 'What happened, each once: transitions of geofences and steps of deliveries';
COMMENT ON COLUMN events.event_id IS 'Follows from what happened, so that finding it again gives the same';
COMMENT ON COLUMN events.type IS 'transition or delivery';
COMMENT ON COLUMN events.kind IS 'enter, exit, dwell, cross; or the status the delivery reached';
COMMENT ON COLUMN events.occurred_at IS 'When it happened, interpolated between fixes; Unix seconds';
COMMENT ON COLUMN events.detected_at IS 'fix_time of the fix that revealed it, Unix seconds';
COMMENT ON COLUMN events.confidence IS '0 to 1';
COMMENT ON COLUMN events.late IS 'Found in late data; never announced to a customer';
COMMENT ON COLUMN events.evidence IS 'What it was concluded from';
COMMENT ON COLUMN events.eta IS 'Predicted arrival (median), Unix seconds; eta_low and eta_high bound it';

CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    driver_id text COLLATE "C",
    status text NOT NULL,
    ended boolean NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX orders_customer ON orders (customer_id, order_id);
CREATE INDEX orders_driver ON orders (driver_id, order_id);
CREATE INDEX orders_open ON orders (order_id) WHERE NOT ended;
COMMENT ON TABLE orders IS 'Orders as the back office gave them, and how far their delivery is';
COMMENT ON COLUMN orders.ended IS 'Nothing more is expected of it';
COMMENT ON COLUMN orders.document IS 'The whole order; the other columns repeat parts of it';

CREATE TABLE geofences (
    geofence_id text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL
);
COMMENT ON TABLE geofences IS 'Areas that are watched';
COMMENT ON COLUMN geofences.document IS 'type and coordinates as in GeoJSON, radius in metres where it is a Point';

CREATE TABLE routes (
    route_id text COLLATE "C" PRIMARY KEY,
    driver_id text COLLATE "C" NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX routes_driver ON routes (driver_id, route_id);
COMMENT ON TABLE routes IS 'The stops each driver makes, in order';
COMMENT ON COLUMN routes.document IS 'The whole route; the other columns repeat parts of it';

CREATE TABLE topics (
    topic text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE topics IS 'How far each topic is';
COMMENT ON COLUMN topics.seq IS 'seq of its newest message';

CREATE TABLE messages (
    topic text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    priority text NOT NULL,
    created_at double precision NOT NULL,
    body json NOT NULL,
    PRIMARY KEY (topic, seq),
    UNIQUE (topic, event_id)
);
COMMENT ON TABLE messages IS 'Reliable messages, stored with what caused them';
COMMENT ON COLUMN messages.seq IS 'Counts from 1 within the topic, without gaps';
COMMENT ON COLUMN messages.event_id IS 'What it tells of; a topic hears of it once';
COMMENT ON COLUMN messages.created_at IS 'Unix seconds';
COMMENT ON COLUMN messages.body IS 'As it is sent, without channel, seq and event_id';

CREATE VIEW trajectories AS
SELECT id, driver_id, to_timestamp(start_time) AS started_at, to_timestamp(end_time) AS ended_at, path
FROM tracks WHERE kind = 0;
COMMENT ON VIEW trajectories IS 'Where drivers went, for maps such as QGIS; without late fixes and outliers';

CREATE VIEW geofence_areas AS
SELECT
    geofence_id,
    CASE
        WHEN document ->> 'type' = 'Point'
        THEN ST_Buffer(ST_GeomFromGeoJSON(document)::geography, (document ->> 'radius')::double precision)::geometry
        ELSE ST_GeomFromGeoJSON(document)
    END AS area
FROM geofences;
COMMENT ON VIEW geofence_areas IS 'Geofences as shapes, for maps such as QGIS';

CREATE VIEW destinations AS
SELECT
    order_id,
    driver_id,
    status,
    CASE
        WHEN destination ? 'coordinates' THEN ST_GeomFromGeoJSON(destination)
        ELSE ST_SetSRID(
            ST_MakePoint((destination ->> 'longitude')::double precision, (destination ->> 'latitude')::double precision),
            4326
        )
    END AS shape
FROM (SELECT order_id, driver_id, status, document -> 'destination' AS destination FROM orders) AS each_order;
COMMENT ON VIEW destinations IS 'Where orders go, for maps such as QGIS';
