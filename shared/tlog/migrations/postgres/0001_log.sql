-- The logs of one service, told apart by name. What is compared is bytes: no index here depends on a collation, which the operating system
-- may change under a database.

-- The state row is rewritten with every batch: room in its page keeps that from touching the indexes.
CREATE TABLE log (
    id         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT    COLLATE "C" NOT NULL UNIQUE,
    origin     TEXT    NOT NULL,
    key_id     BYTEA   NOT NULL CHECK (octet_length(key_id) = 32),
    size       BIGINT  NOT NULL CHECK (size >= 0),
    root       BYTEA   NOT NULL CHECK (octet_length(root) = 32),
    frontier   BYTEA   NOT NULL CHECK (octet_length(frontier) % 32 = 0),  -- left to right
    time       BIGINT  NOT NULL,                                          -- milliseconds since 1970, like all times here
    checkpoint TEXT    NOT NULL,
    frozen     BOOLEAN NOT NULL,
    digest     BYTEA   NOT NULL CHECK (octet_length(digest) = 32)         -- over all of the above: State::digest
) WITH (fillfactor = 20);

-- `log` names a row of the table above, here and below. It is no foreign key: that would look at the row for each entry, and whoever
-- inserts holds its lock anyway.
CREATE TABLE entry (
    log       BIGINT NOT NULL,
    idx       BIGINT NOT NULL CHECK (idx >= 0),
    time      BIGINT NOT NULL,
    dedup_key BYTEA  NOT NULL CHECK (octet_length(dedup_key) = 32),
    leaf_hash BYTEA  NOT NULL CHECK (octet_length(leaf_hash) = 32),
    data      BYTEA  NOT NULL,
    extra     BYTEA  NOT NULL,
    PRIMARY KEY (log, idx),
    UNIQUE (log, dedup_key)
);

-- Where the leaf hash is the dedup key, the index above finds it.
CREATE INDEX entry_leaf_hash ON entry (log, leaf_hash) WHERE leaf_hash <> dedup_key;

-- Full tiles only: a partial one is the beginning of what the entries lead to. Hashes do not get smaller: they are not compressed.
CREATE TABLE tile (
    log    BIGINT   NOT NULL,
    level  SMALLINT NOT NULL CHECK (level >= 0),
    idx    BIGINT   NOT NULL CHECK (idx >= 0),
    hashes BYTEA    NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (log, level, idx)
);
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- What an entry is found by besides its place and its leaf hash: the SHA-256 of words that a face gave with it. Words are of any length
-- and content, which rows of an index are not.
CREATE TABLE search (
    log BIGINT NOT NULL,
    key BYTEA  NOT NULL CHECK (octet_length(key) = 32),
    idx BIGINT NOT NULL CHECK (idx >= 0),
    PRIMARY KEY (log, key, idx)
);
