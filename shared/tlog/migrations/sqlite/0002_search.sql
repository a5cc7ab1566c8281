-- What an entry is found by besides its place and its leaf hash: words that a face gave with it. Written with the entry, never changed.
-- Nothing of it is hashed or signed. Without a row id, so that the table is its own index.
CREATE TABLE search (
    log INTEGER NOT NULL REFERENCES log (id),
    key TEXT    NOT NULL,
    idx INTEGER NOT NULL CHECK (idx >= 0),
    PRIMARY KEY (log, key, idx)
) STRICT, WITHOUT ROWID;
