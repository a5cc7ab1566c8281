-- A database holds the logs of one service, told apart by name.

CREATE TABLE log (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    origin     TEXT    NOT NULL,
    key_id     BLOB    NOT NULL CHECK (length(key_id) = 32),
    size       INTEGER NOT NULL CHECK (size >= 0),
    root       BLOB    NOT NULL CHECK (length(root) = 32),
    frontier   BLOB    NOT NULL CHECK (length(frontier) % 32 = 0),  -- left to right
    time       INTEGER NOT NULL,                                    -- milliseconds since 1970, like all times here
    checkpoint TEXT    NOT NULL,
    frozen     INTEGER NOT NULL CHECK (frozen IN (0, 1)),
    digest     BLOB    NOT NULL CHECK (length(digest) = 32)         -- over all of the above: State::digest
) STRICT;

-- The long columns come last: what looks only at the short ones does not read them.
CREATE TABLE entry (
    log       INTEGER NOT NULL REFERENCES log (id),
    idx       INTEGER NOT NULL CHECK (idx >= 0),
    time      INTEGER NOT NULL,
    dedup_key BLOB    NOT NULL CHECK (length(dedup_key) = 32),
    leaf_hash BLOB    NOT NULL CHECK (length(leaf_hash) = 32),
    data      BLOB    NOT NULL,
    extra     BLOB    NOT NULL,
    PRIMARY KEY (log, idx),
    UNIQUE (log, dedup_key)
) STRICT;

-- Where the leaf hash is the dedup key, the index above finds it.
CREATE INDEX entry_leaf_hash ON entry (log, leaf_hash) WHERE leaf_hash <> dedup_key;

-- Full tiles only: a partial one is the beginning of what the entries lead to.
CREATE TABLE tile (
    log    INTEGER NOT NULL REFERENCES log (id),
    level  INTEGER NOT NULL CHECK (level >= 0),
    idx    INTEGER NOT NULL CHECK (idx >= 0),
    hashes BLOB    NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (log, level, idx)
) STRICT;
