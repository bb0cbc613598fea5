-- Personal messages wait for their user until they are acknowledged or expire; null: it waits for nobody.

ALTER TABLE messages ADD COLUMN waits_until DOUBLE;
CREATE INDEX messages_waiting ON messages (topic, seq) WHERE waits_until IS NOT NULL;
