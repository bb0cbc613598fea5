-- What announced ETAs were worth, and what was learned of arrivals.

CREATE TABLE eta_scores (
    event_id text COLLATE "C" PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL,
    driver_id text COLLATE "C" NOT NULL,
    predicted_at double precision NOT NULL,
    arrived_at double precision NOT NULL,
    eta double precision NOT NULL,
    eta_low double precision NOT NULL,
    eta_high double precision NOT NULL,
    reckoned_s double precision,
    metres double precision,
    stops integer,
    model integer
);
CREATE INDEX eta_scores_time ON eta_scores (arrived_at);
CREATE INDEX eta_scores_order ON eta_scores (order_id);
COMMENT ON TABLE eta_scores IS 'One announced ETA and the arrival it was about; written with the arrival';
COMMENT ON COLUMN eta_scores.event_id IS 'Of the announcement';
COMMENT ON COLUMN eta_scores.reckoned_s IS 'Seconds to go as reckoned, before intervals were laid around it';
COMMENT ON COLUMN eta_scores.metres IS 'Metres to go when it was announced';
COMMENT ON COLUMN eta_scores.stops IS 'Stops before this one when it was announced';
COMMENT ON COLUMN eta_scores.model IS 'Version of the model';

CREATE TABLE eta_models (
    version integer PRIMARY KEY,
    created_at double precision NOT NULL,
    trips integer NOT NULL,
    model bytea NOT NULL
);
COMMENT ON TABLE eta_models IS 'What was learned of arrivals; the newest counts';
