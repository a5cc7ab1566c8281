-- The largest tree of each log that was cosigned. One row per log, replaced before each cosignature is given out.
CREATE TABLE seen (
    origin TEXT    NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL CHECK (size >= 0),
    root   BLOB    NOT NULL CHECK (length(root) = 32),
    time   INTEGER NOT NULL CHECK (time >= 0)          -- of the last cosignature, seconds since 1970
) STRICT, WITHOUT ROWID;
