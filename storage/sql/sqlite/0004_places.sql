-- Tracks by place: the R-tree extension of GeoPackage (spec131, annex F.3), which QGIS and GDAL use too.

CREATE TABLE gpkg_extensions (
    table_name TEXT,
    column_name TEXT,
    extension_name TEXT NOT NULL,
    definition TEXT NOT NULL,
    scope TEXT NOT NULL,
    UNIQUE (table_name, column_name, extension_name)
);
INSERT INTO gpkg_extensions VALUES (
    'tracks', 'path', 'gpkg_rtree_index', 'http://www.geopackage.org/spec131/#extension_rtree', 'write-only'
);

CREATE VIRTUAL TABLE rtree_tracks_path USING rtree(id, minx, maxx, miny, maxy);
INSERT INTO rtree_tracks_path SELECT id, ST_MinX(path), ST_MaxX(path), ST_MinY(path), ST_MaxY(path) FROM tracks;

CREATE TRIGGER rtree_tracks_path_insert AFTER INSERT ON tracks
WHEN (NEW.path NOT NULL AND NOT ST_IsEmpty(NEW.path))
BEGIN
    INSERT OR REPLACE INTO rtree_tracks_path
    VALUES (NEW.id, ST_MinX(NEW.path), ST_MaxX(NEW.path), ST_MinY(NEW.path), ST_MaxY(NEW.path));
END;
CREATE TRIGGER rtree_tracks_path_update1 AFTER UPDATE OF path ON tracks
WHEN OLD.id = NEW.id AND (NEW.path NOTNULL AND NOT ST_IsEmpty(NEW.path))
BEGIN
    INSERT OR REPLACE INTO rtree_tracks_path
    VALUES (NEW.id, ST_MinX(NEW.path), ST_MaxX(NEW.path), ST_MinY(NEW.path), ST_MaxY(NEW.path));
END;
CREATE TRIGGER rtree_tracks_path_update2 AFTER UPDATE OF path ON tracks
WHEN OLD.id = NEW.id AND (NEW.path ISNULL OR ST_IsEmpty(NEW.path))
BEGIN
    DELETE FROM rtree_tracks_path WHERE id = OLD.id;
END;
CREATE TRIGGER rtree_tracks_path_update3 AFTER UPDATE ON tracks
WHEN OLD.id != NEW.id AND (NEW.path NOTNULL AND NOT ST_IsEmpty(NEW.path))
BEGIN
    DELETE FROM rtree_tracks_path WHERE id = OLD.id;
    INSERT OR REPLACE INTO rtree_tracks_path
    VALUES (NEW.id, ST_MinX(NEW.path), ST_MaxX(NEW.path), ST_MinY(NEW.path), ST_MaxY(NEW.path));
END;
CREATE TRIGGER rtree_tracks_path_update4 AFTER UPDATE ON tracks
WHEN OLD.id != NEW.id AND (NEW.path ISNULL OR ST_IsEmpty(NEW.path))
BEGIN
    DELETE FROM rtree_tracks_path WHERE id IN (OLD.id, NEW.id);
END;
CREATE TRIGGER rtree_tracks_path_delete AFTER DELETE ON tracks
WHEN OLD.path NOT NULL
BEGIN
    DELETE FROM rtree_tracks_path WHERE id = OLD.id;
END;
