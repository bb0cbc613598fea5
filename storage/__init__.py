"""What survives: the Store protocol, the embedded GeoPackage store and PostGIS."""
