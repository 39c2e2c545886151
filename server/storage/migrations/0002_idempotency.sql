-- What a request cost in more detail, and answers that may be asked for again.

ALTER TABLE requests ADD COLUMN cached_tokens    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN upstream_calls   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN replay_of        TEXT    NOT NULL DEFAULT '';

-- The answers of chats that came with an idempotency-key, for a day.
CREATE TABLE idempotency (
  key         TEXT    NOT NULL PRIMARY KEY,
  fingerprint TEXT    NOT NULL,                -- of the request
  request_id  TEXT    NOT NULL,                -- the first one's
  response    TEXT    NOT NULL,                -- base64 of the contract's message
  created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_oldest ON idempotency (created_at);

-- A job that was started with an idempotency-key is the only one with it.
ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
ALTER TABLE jobs ADD COLUMN idempotency_fingerprint TEXT;
CREATE UNIQUE INDEX jobs_idempotency ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
