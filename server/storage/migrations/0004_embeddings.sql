-- What embedding models made of texts, so that no text is embedded, and paid for, twice.
CREATE TABLE embeddings (
  seq          INTEGER PRIMARY KEY,
  embedder_key TEXT    NOT NULL,   -- which model of which server
  text_hash    BLOB    NOT NULL,   -- SHA-256 of what was embedded
  vector       BLOB    NOT NULL,   -- 4-byte floats, little-endian, of length 1
  UNIQUE (embedder_key, text_hash)
) STRICT;

-- Which job made a generation: the same job, run again after a crash, makes no other.
ALTER TABLE index_generations ADD COLUMN order_id TEXT NOT NULL DEFAULT '';
