-- What announced ETAs were worth, and what was learned of arrivals.

-- One announced ETA and the arrival it was about; written with the arrival.
CREATE TABLE eta_scores (
    event_id TEXT PRIMARY KEY NOT NULL, -- of the announcement
    order_id TEXT NOT NULL,
    driver_id TEXT NOT NULL,
    predicted_at DOUBLE NOT NULL,
    arrived_at DOUBLE NOT NULL,
    eta DOUBLE NOT NULL,
    eta_low DOUBLE NOT NULL,
    eta_high DOUBLE NOT NULL,
    reckoned_s DOUBLE, -- seconds to go as reckoned, before intervals were laid around it
    metres DOUBLE, -- to go
    stops INTEGER, -- before this one
    model INTEGER
);
CREATE INDEX eta_scores_time ON eta_scores (arrived_at);
CREATE INDEX eta_scores_order ON eta_scores (order_id);

CREATE TABLE eta_models (
    version INTEGER PRIMARY KEY NOT NULL,
    created_at DOUBLE NOT NULL,
    trips INTEGER NOT NULL,
    model BLOB NOT NULL
);
