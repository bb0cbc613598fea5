-- The newest fix of each driver that is believed, as a layer of points: the last vertex of a path is its last 24 bytes.
CREATE VIEW latest_positions AS
SELECT
    tracks.id AS id,
    drivers.driver_id AS driver_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', tracks.end_time, 'unixepoch') AS fix_time,
    CAST(x'47500001E6100000' || x'01D1070000' || substr(tracks.path, -24) AS BLOB) AS position
FROM drivers JOIN tracks ON tracks.id = (
    SELECT run.id FROM tracks AS run
    WHERE run.driver_id = drivers.driver_id AND run.kind IN (0, 2) AND NOT EXISTS (
        SELECT 1 FROM judgements
        WHERE judgements.driver_id = run.driver_id AND judgements.fix_time = run.end_time AND judgements.kind IN (1, 4)
    )
    ORDER BY run.end_time DESC LIMIT 1
);
INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) VALUES
    ('latest_positions', 'features', 'latest_positions', 'The newest fix of each driver', 4326);
INSERT INTO gpkg_geometry_columns VALUES ('latest_positions', 'position', 'POINT', 4326, 0, 1);
