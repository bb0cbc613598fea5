-- An OGC GeoPackage (https://www.geopackage.org/spec131/): the gpkg_ tables, then our own. Times are Unix seconds.

PRAGMA application_id = 0x47504B47; -- "GPKG"
PRAGMA user_version = 10300;

CREATE TABLE gpkg_spatial_ref_sys (
    srs_name TEXT NOT NULL,
    srs_id INTEGER NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL,
    organization_coordsys_id INTEGER NOT NULL,
    definition TEXT NOT NULL,
    description TEXT
);
INSERT INTO gpkg_spatial_ref_sys VALUES
    ('Undefined Cartesian SRS', -1, 'NONE', -1, 'undefined', NULL),
    ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', NULL),
    ('WGS 84 geodetic', 4326, 'EPSG', 4326,
     'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]',
     'longitude, latitude in degrees');

CREATE TABLE gpkg_contents (
    table_name TEXT NOT NULL PRIMARY KEY,
    data_type TEXT NOT NULL,
    identifier TEXT UNIQUE,
    description TEXT DEFAULT '',
    last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    min_x DOUBLE,
    min_y DOUBLE,
    max_x DOUBLE,
    max_y DOUBLE,
    srs_id INTEGER REFERENCES gpkg_spatial_ref_sys (srs_id)
);

CREATE TABLE gpkg_geometry_columns (
    table_name TEXT NOT NULL UNIQUE REFERENCES gpkg_contents (table_name),
    column_name TEXT NOT NULL,
    geometry_type_name TEXT NOT NULL,
    srs_id INTEGER NOT NULL REFERENCES gpkg_spatial_ref_sys (srs_id),
    z TINYINT NOT NULL, -- 0: prohibited
    m TINYINT NOT NULL, -- 1: mandatory
    PRIMARY KEY (table_name, column_name)
);

CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL -- made with the store; message seqs only compare within it
);
INSERT INTO store VALUES (1, lower(hex(randomblob(16))));

-- Fixes as measured: one run of one driver a row.
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    driver_id TEXT NOT NULL,
    kind SMALLINT NOT NULL, -- 0 accepted, 1 outlier (stored, but not believed), 2 late
    connected BOOLEAN NOT NULL, -- the first vertex repeats the last one of the run before
    start_time DOUBLE NOT NULL,
    end_time DOUBLE NOT NULL,
    path LINESTRING NOT NULL, -- x longitude, y latitude, m fix_time; a single fix stands twice
    speed BLOB NOT NULL, -- m/s at each vertex, little-endian float32; NaN is not known; so the next two
    course BLOB NOT NULL, -- degrees from true north
    accuracy BLOB NOT NULL -- metres
);
-- By end_time first: nearly all look-ups are for recent times, and then read only rows from there to now.
CREATE INDEX tracks_driver_time ON tracks (driver_id, end_time, start_time);

-- What happened, each once: transitions of geofences and steps of deliveries.
CREATE TABLE events (
    id INTEGER PRIMARY KEY, -- GeoPackage asks for one
    event_id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL, -- transition or delivery
    kind TEXT NOT NULL,
    driver_id TEXT NOT NULL,
    geofence_id TEXT,
    order_id TEXT,
    customer_id TEXT,
    occurred_at DOUBLE NOT NULL,
    detected_at DOUBLE NOT NULL, -- fix_time of the fix that revealed it
    confidence DOUBLE NOT NULL,
    late BOOLEAN NOT NULL,
    evidence TEXT NOT NULL,
    eta DOUBLE,
    eta_low DOUBLE,
    eta_high DOUBLE
);
CREATE INDEX events_time ON events (occurred_at, event_id);
CREATE INDEX events_driver ON events (driver_id, occurred_at, event_id);
CREATE INDEX events_order ON events (order_id, occurred_at, event_id) WHERE order_id IS NOT NULL;
CREATE INDEX events_geofence ON events (geofence_id, occurred_at, event_id) WHERE geofence_id IS NOT NULL;

-- Documents: the whole as JSON, and the columns they are found by.
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY NOT NULL,
    customer_id TEXT NOT NULL,
    driver_id TEXT,
    status TEXT NOT NULL,
    ended BOOLEAN NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX orders_customer ON orders (customer_id, order_id);
CREATE INDEX orders_driver ON orders (driver_id, order_id);
CREATE INDEX orders_open ON orders (order_id) WHERE NOT ended;

CREATE TABLE geofences (
    geofence_id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL
);

CREATE TABLE routes (
    route_id TEXT PRIMARY KEY NOT NULL,
    driver_id TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX routes_driver ON routes (driver_id, route_id);

-- Reliable messages, stored with what caused them; seq counts from 1 within a topic.
CREATE TABLE topics (
    topic TEXT PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL
);
CREATE TABLE messages (
    topic TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    priority TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (topic, seq),
    UNIQUE (topic, event_id)
);

INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) VALUES
    ('tracks', 'features', 'tracks', 'Fixes as measured, one run of one driver a row', 4326),
    ('events', 'attributes', 'events', 'What happened', NULL);
INSERT INTO gpkg_geometry_columns VALUES ('tracks', 'path', 'LINESTRING', 4326, 0, 1);
