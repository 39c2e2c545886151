-- Accounts: who may call, how much, what it costs, and totals of the ledger.

CREATE TABLE api_keys (
  id          TEXT    NOT NULL PRIMARY KEY,
  digest      BLOB    NOT NULL UNIQUE,             -- SHA-256 of the key, which is kept nowhere
  prefix      TEXT    NOT NULL,                    -- of the key, to tell it by
  name        TEXT    NOT NULL,
  tenant      TEXT    NOT NULL,
  user_id     TEXT    NOT NULL,
  scopes      TEXT    NOT NULL,                    -- names with a blank between; empty: no scopes
  limits      TEXT    NOT NULL,                    -- a JSON object
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER,
  revoked_at  INTEGER,
  replaced_by TEXT    NOT NULL DEFAULT ''          -- the id of the key that it was rotated to
) STRICT;
CREATE INDEX api_keys_newest ON api_keys (created_at, id);

-- Limits of a tenant (user_id is empty), or of a user in it.
CREATE TABLE subject_limits (
  tenant  TEXT NOT NULL,
  user_id TEXT NOT NULL,
  limits  TEXT NOT NULL,                           -- a JSON object
  PRIMARY KEY (tenant, user_id)
) STRICT, WITHOUT ROWID;

-- Rises with every change of the two, whoever makes it, so that every process sees that there was one.
CREATE TABLE access_version (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO access_version (id, version) VALUES (1, 1);
CREATE TRIGGER api_keys_added AFTER INSERT ON api_keys
  BEGIN UPDATE access_version SET version = version + 1; END;
CREATE TRIGGER api_keys_changed AFTER UPDATE ON api_keys
  BEGIN UPDATE access_version SET version = version + 1; END;
CREATE TRIGGER api_keys_removed AFTER DELETE ON api_keys
  BEGIN UPDATE access_version SET version = version + 1; END;
CREATE TRIGGER subject_limits_added AFTER INSERT ON subject_limits
  BEGIN UPDATE access_version SET version = version + 1; END;
CREATE TRIGGER subject_limits_changed AFTER UPDATE ON subject_limits
  BEGIN UPDATE access_version SET version = version + 1; END;
CREATE TRIGGER subject_limits_removed AFTER DELETE ON subject_limits
  BEGIN UPDATE access_version SET version = version + 1; END;

-- Prices of models in nano-USD for a million tokens. The one with the greatest version is in force.
CREATE TABLE prices (
  version      INTEGER PRIMARY KEY AUTOINCREMENT,
  model        TEXT    NOT NULL,
  effective_at INTEGER NOT NULL,
  input        INTEGER NOT NULL CHECK (input >= 0),
  output       INTEGER NOT NULL CHECK (output >= 0),
  cached_input INTEGER CHECK (cached_input >= 0),  -- NULL: as input
  reasoning    INTEGER CHECK (reasoning >= 0),     -- NULL: as output
  source       TEXT    NOT NULL CHECK (source IN ('file', 'api'))
) STRICT;
CREATE INDEX prices_of_model ON prices (model, version);

ALTER TABLE requests ADD COLUMN tenant            TEXT    NOT NULL DEFAULT 'default';
ALTER TABLE requests ADD COLUMN key_id            TEXT    NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN price_version     INTEGER NOT NULL DEFAULT 0;  -- 0: no price was applied
ALTER TABLE requests ADD COLUMN price_unknown     INTEGER NOT NULL DEFAULT 0;  -- 1: cost_nano_usd says nothing
ALTER TABLE requests ADD COLUMN cache             TEXT    NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN guardrails        TEXT    NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN shadow_limit      TEXT    NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN trace_id          TEXT    NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN detail            TEXT    NOT NULL DEFAULT '';  -- JSON: timeline, passages
-- What a running request holds of its quotas; of one whose process was killed, until when.
ALTER TABLE requests ADD COLUMN reserved_tokens   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN reserved_nano_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN reserved_until    INTEGER NOT NULL DEFAULT 0;
-- The number of the roll-up that counted the row; 0: none has yet.
ALTER TABLE requests ADD COLUMN rolled            INTEGER NOT NULL DEFAULT 0;
CREATE INDEX requests_of_tenant ON requests (tenant, created_at, row_id);
CREATE INDEX requests_of_key ON requests (key_id, created_at, row_id) WHERE key_id <> '';
CREATE INDEX requests_by_id ON requests (request_id);
CREATE INDEX requests_rolled ON requests (rolled, row_id);
CREATE INDEX requests_held ON requests (reserved_until) WHERE reserved_until > 0;

-- Totals of the ledger, by UTC day; rows that were purged are still counted here. Every request is counted once in each grain: a sum
-- of bits that says which of model (1), user (2), key (4) and endpoint (8) its rows are told apart by; the others are ''.
CREATE TABLE usage_daily (
  grain             INTEGER NOT NULL CHECK (grain IN (0, 1, 2, 4, 8, 15)),
  day               INTEGER NOT NULL,              -- since 1970
  tenant            TEXT    NOT NULL,
  model             TEXT    NOT NULL,
  user_id           TEXT    NOT NULL,
  key_id            TEXT    NOT NULL,
  endpoint          TEXT    NOT NULL,
  requests          INTEGER NOT NULL,              -- that ended; of them errors and cancelled
  errors            INTEGER NOT NULL,
  cancelled         INTEGER NOT NULL,
  prompt_tokens     INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cached_tokens     INTEGER NOT NULL,
  reasoning_tokens  INTEGER NOT NULL,
  cost_nano_usd     INTEGER NOT NULL,              -- of those with a known price
  price_unknown     INTEGER NOT NULL,              -- requests
  latency           BLOB    NOT NULL,              -- histograms: usage/histogram.h
  ttft              BLOB    NOT NULL,
  PRIMARY KEY (grain, day, tenant, model, user_id, key_id, endpoint)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_rollups (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  last INTEGER NOT NULL                            -- the number of the last one
) STRICT;
INSERT INTO usage_rollups (id, last) VALUES (1, 0);

-- How far a billing export has come: every row before (rolled, row_id) was accepted there.
CREATE TABLE billing_exports (
  destination TEXT    NOT NULL PRIMARY KEY,
  rolled      INTEGER NOT NULL,
  row_id      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
CREATE INDEX jobs_of_tenant ON jobs (tenant, created_at, id);
