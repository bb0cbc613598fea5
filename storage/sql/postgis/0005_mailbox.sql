-- Personal messages wait for their user until they are acknowledged or expire.

ALTER TABLE messages ADD COLUMN waits_until double precision;
CREATE INDEX messages_waiting ON messages (topic, seq) WHERE waits_until IS NOT NULL;
COMMENT ON COLUMN messages.waits_until IS
    'A personal message that nobody has acknowledged yet is sent again until then, Unix seconds; null: it waits for nobody';
