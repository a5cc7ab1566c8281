-- What the certificate authority signs, recorded before it is signed. Rows are only ever added.
PRAGMA application_id = 1128810069; -- "CHFU": tells this file from other SQLite databases

CREATE TABLE issuance (
    id INTEGER PRIMARY KEY,
    serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 20),
    -- The TBSCertificate of the precertificate, DER. The final certificate differs from it by poison and SCT list only.
    tbs BLOB NOT NULL,
    -- Milliseconds since 1970.
    recorded_ms INTEGER NOT NULL
) STRICT;
