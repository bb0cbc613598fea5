-- Rows by hour, and within an hour by place: who was here then reads a hundred pages of a week with a million rows, where
-- an index over longitude, latitude and time reads thousands.

CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE INDEX segments_hour_path ON segments
    USING gist ((floor(end_time / 3600)), (segment_path(path)::geometry(LineStringM, 4326)));
DROP INDEX segments_path;

DO $$
DECLARE
    before text := pg_get_functiondef('passed_near'::regproc);
    after text := replace(before, '&&& ST_SetSRID', '&& ST_SetSRID');
BEGIN
    after := replace(after, 'AND segment.end_time >= extract(epoch FROM "from")', $condition$
              AND floor(segment.end_time / 3600) >= floor(extract(epoch FROM "from")::double precision / 3600)
              AND floor(segment.end_time / 3600) <= floor((extract(epoch FROM "to")::double precision + 4200) / 3600)
              AND segment.end_time >= extract(epoch FROM "from")$condition$);
    ASSERT after <> before AND position('&&&' IN after) = 0 AND position('floor(segment.end_time' IN after) > 0;
    EXECUTE after;
END
$$;
