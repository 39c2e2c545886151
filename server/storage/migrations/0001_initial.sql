-- The first schema. Times are integer microseconds since 1970, money integer nano-USD, flags 0 or 1.

-- The truth that every index is made of.
CREATE TABLE documents (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of arrival; a number is never reused
  collection   TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  title        TEXT    NOT NULL,
  text         TEXT    NOT NULL,
  source       TEXT    NOT NULL,
  metadata     TEXT    NOT NULL,                   -- a JSON object, or empty
  content_hash TEXT    NOT NULL,
  chunk_count  INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  UNIQUE (collection, id)
) STRICT;

-- Where a document's text is cut: bytes [start_byte, end_byte).
CREATE TABLE chunks (
  document_seq INTEGER NOT NULL REFERENCES documents (seq) ON DELETE CASCADE,
  ordinal      INTEGER NOT NULL,
  start_byte   INTEGER NOT NULL,
  end_byte     INTEGER NOT NULL,
  PRIMARY KEY (document_seq, ordinal),
  CHECK (0 <= start_byte AND start_byte <= end_byte)
) STRICT, WITHOUT ROWID;

-- Which fitted embedding a collection is at.
CREATE TABLE index_generations (
  collection    TEXT    PRIMARY KEY,
  generation    INTEGER NOT NULL,
  fitted_chunks INTEGER NOT NULL,
  created_at    INTEGER NOT NULL
) STRICT;

-- The ledger: one row for each request.
CREATE TABLE requests (
  row_id            TEXT    NOT NULL PRIMARY KEY,
  request_id        TEXT    NOT NULL,              -- may repeat: a client may choose it
  created_at        INTEGER NOT NULL,
  endpoint          TEXT    NOT NULL,
  user_id           TEXT    NOT NULL,
  model             TEXT    NOT NULL,
  status            TEXT    NOT NULL CHECK (status IN ('RUNNING', 'OK', 'ERROR', 'CANCELLED')),
  prompt            TEXT    NOT NULL,
  response          TEXT    NOT NULL,
  prompt_bytes      INTEGER NOT NULL,
  response_bytes    INTEGER NOT NULL,
  prompt_tokens     INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  usage_estimated   INTEGER NOT NULL CHECK (usage_estimated IN (0, 1)),
  cost_nano_usd     INTEGER NOT NULL,
  response_time_ms  INTEGER NOT NULL,
  ttft_ms           INTEGER NOT NULL,
  error_reason      TEXT    NOT NULL
) STRICT;
CREATE INDEX requests_newest ON requests (created_at, row_id);
CREATE INDEX requests_running ON requests (row_id) WHERE status = 'RUNNING';

-- The queue. `run_at` is when the job may be claimed: while QUEUED when it is due, while RUNNING when its worker's
-- lease ends. `worker` and `attempts` fence off a worker that lost its lease.
CREATE TABLE jobs (
  id               TEXT    NOT NULL PRIMARY KEY,
  kind             TEXT    NOT NULL,
  params           TEXT    NOT NULL,
  status           TEXT    NOT NULL
                   CHECK (status IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
  progress_done    INTEGER NOT NULL,
  progress_total   INTEGER NOT NULL,
  progress_message TEXT    NOT NULL,
  result           TEXT,
  error_reason     TEXT    NOT NULL,
  error_message    TEXT    NOT NULL,
  attempts         INTEGER NOT NULL CHECK (attempts >= 0),
  run_at           INTEGER NOT NULL,
  worker           TEXT,
  created_at       INTEGER NOT NULL,
  started_at       INTEGER,
  finished_at      INTEGER,
  CHECK ((status = 'RUNNING') = (worker IS NOT NULL)),
  CHECK ((status = 'SUCCEEDED') = (result IS NOT NULL)),
  CHECK ((status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (finished_at IS NOT NULL)),
  CHECK (status NOT IN ('RUNNING', 'SUCCEEDED') OR (attempts > 0 AND started_at IS NOT NULL)),
  CHECK (status <> 'FAILED' OR error_reason <> '')
) STRICT;
CREATE INDEX jobs_claimable ON jobs (run_at, id) WHERE status IN ('QUEUED', 'RUNNING');
CREATE INDEX jobs_newest ON jobs (created_at, id);
