-- The content of the entries below `moved`, and the leaf tiles below it, are in an object store: here `data` is empty, and `extra` is the
-- SHA-256 of what it was, unless that was empty too. State::digest does not cover it: a batch does not change it.
ALTER TABLE log ADD COLUMN moved INTEGER NOT NULL DEFAULT 0 CHECK (moved >= 0 AND moved % 256 = 0);
