-- What a key has used, which a quota asks for by the key's id alone: the tenant stands before it in the table's key. Sums change
-- without a change of the index.
CREATE INDEX usage_daily_of_key ON usage_daily (key_id, day) WHERE grain = 4;
