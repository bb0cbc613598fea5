-- Long rows are compressed by LZ4 where the database server has it, which is several times as fast as its own way.
DO $$
BEGIN
    ALTER TABLE segments ALTER path SET COMPRESSION lz4, ALTER speed SET COMPRESSION lz4,
        ALTER course SET COMPRESSION lz4, ALTER accuracy SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'this PostgreSQL has no LZ4';
END
$$;
