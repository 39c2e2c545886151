-- Every document belongs to a tenant; an index remembers what its vectors were made by.

-- SQLite can't change a UNIQUE constraint: the two tables are made again. The chunks go first, so that dropping the old
-- documents takes none of them along.
CREATE TABLE chunks_before AS SELECT document_seq, ordinal, start_byte, end_byte FROM chunks;
DROP TABLE chunks;
ALTER TABLE documents RENAME TO documents_before;

CREATE TABLE documents (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of arrival; a number is never reused
  tenant       TEXT    NOT NULL,
  collection   TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  title        TEXT    NOT NULL,
  text         TEXT    NOT NULL,
  source       TEXT    NOT NULL,
  metadata     TEXT    NOT NULL,                   -- a JSON object, or empty
  content_hash TEXT    NOT NULL,
  chunk_count  INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  UNIQUE (tenant, collection, id)
) STRICT;
INSERT INTO documents
  SELECT seq, 'default', collection, id, title, text, source, metadata, content_hash, chunk_count, created_at
  FROM documents_before ORDER BY seq;
-- The numbers of documents that were deleted stay used.
DELETE FROM sqlite_sequence WHERE name = 'documents';
INSERT INTO sqlite_sequence (name, seq) SELECT 'documents', seq FROM sqlite_sequence WHERE name = 'documents_before';
DROP TABLE documents_before;
CREATE INDEX documents_arrival ON documents (tenant, collection, seq);

-- Where a document's text is cut: bytes [start_byte, end_byte).
CREATE TABLE chunks (
  document_seq INTEGER NOT NULL REFERENCES documents (seq) ON DELETE CASCADE,
  ordinal      INTEGER NOT NULL,
  start_byte   INTEGER NOT NULL,
  end_byte     INTEGER NOT NULL,
  PRIMARY KEY (document_seq, ordinal),
  CHECK (0 <= start_byte AND start_byte <= end_byte)
) STRICT, WITHOUT ROWID;
INSERT INTO chunks SELECT document_seq, ordinal, start_byte, end_byte FROM chunks_before;
DROP TABLE chunks_before;

-- The generations of a collection's index, each written when it took over: the one with the greatest number serves.
ALTER TABLE index_generations RENAME TO generations_before;
CREATE TABLE index_generations (
  tenant        TEXT    NOT NULL,
  collection    TEXT    NOT NULL,
  generation    INTEGER NOT NULL,
  embedder      TEXT    NOT NULL,                  -- 'fitted', or the id of an embedding model
  dimensions    INTEGER NOT NULL,
  fitted_chunks INTEGER NOT NULL,                  -- how many it was made of
  created_at    INTEGER NOT NULL,
  PRIMARY KEY (tenant, collection, generation)
) STRICT, WITHOUT ROWID;
INSERT INTO index_generations
  SELECT 'default', collection, generation, 'fitted', MIN(256, fitted_chunks - 20), fitted_chunks, created_at
  FROM generations_before;
DROP TABLE generations_before;
