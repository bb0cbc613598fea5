-- Late fixes and outliers by time: around them a way between two fixes lies in no row, so whoever asks who passed a place looks for them.

CREATE INDEX segments_aside ON segments (end_time) WHERE kind <> 0;
COMMENT ON INDEX segments_aside IS 'The few rows beside the track, by time';
