-- What a registry holds besides the bytes of blobs, which are files. Times are milliseconds since 1970; digests are text, as clients
-- write them, because the same content may be known under a SHA-256 and a SHA-512 digest and each client is answered with its own.

-- A repository is there once something was put into it, and stays when that is deleted.
CREATE TABLE repository (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

-- A row exists only after the file of the bytes is durable under its digest.
CREATE TABLE blob (
    digest TEXT    PRIMARY KEY,
    size   INTEGER NOT NULL CHECK (size >= 0),
    stored INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who may see a blob: a repository without this row does not have it, whatever is on the disk.
CREATE TABLE blob_link (
    repository INTEGER NOT NULL REFERENCES repository (id),
    digest     TEXT    NOT NULL REFERENCES blob (digest),
    linked     INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_link_digest ON blob_link (digest);

-- The bytes of a manifest, once for all repositories.
CREATE TABLE manifest_bytes (
    digest TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

-- A manifest in a repository. `id` grows with every insertion: referrers are listed in its order.
CREATE TABLE manifest (
    id            INTEGER PRIMARY KEY,
    repository    INTEGER NOT NULL REFERENCES repository (id),
    digest        TEXT    NOT NULL REFERENCES manifest_bytes (digest),
    media_type    TEXT    NOT NULL,
    artifact_type TEXT,
    subject       TEXT,
    pushed        INTEGER NOT NULL,
    actor         TEXT    NOT NULL,
    descriptor    TEXT,   -- its entry in the referrers listing of its subject, ready to send
    UNIQUE (repository, digest),
    CHECK ((subject IS NULL) = (descriptor IS NULL))
) STRICT;
CREATE INDEX manifest_digest ON manifest (digest);
-- The referrers listing. The subject need not be there, neither yet nor any more.
CREATE INDEX manifest_subject ON manifest (repository, subject, id) WHERE subject IS NOT NULL;

-- Members of an index, found from the member. A proxied index may be here before its members.
CREATE TABLE child (
    repository INTEGER NOT NULL,
    digest     TEXT    NOT NULL,
    parent     INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
    PRIMARY KEY (repository, digest, parent)
) STRICT, WITHOUT ROWID;
CREATE INDEX child_parent ON child (parent);

-- `version` counts the changes of a name, deletions included, so that who saw one can tell that it was changed and changed back.
CREATE TABLE tag (
    repository INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    previous   TEXT,
    actor      TEXT    NOT NULL,
    updated    INTEGER NOT NULL,
    PRIMARY KEY (repository, name),
    FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_digest ON tag (repository, digest);

-- Every change of every tag; without a digest it was deleted.
CREATE TABLE tag_history (
    repository INTEGER NOT NULL REFERENCES repository (id),
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    digest     TEXT,
    previous   TEXT,
    actor      TEXT    NOT NULL,
    updated    INTEGER NOT NULL,
    PRIMARY KEY (repository, name, version)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tag_history_is_not_edited BEFORE UPDATE ON tag_history BEGIN SELECT RAISE(ABORT, 'tag_history is append-only'); END;
CREATE TRIGGER tag_history_is_not_cut BEFORE DELETE ON tag_history BEGIN SELECT RAISE(ABORT, 'tag_history is append-only'); END;

-- Uploads in progress: their bytes are files by the same name. `used` is kept to the hour.
CREATE TABLE upload (
    id         TEXT    PRIMARY KEY,
    repository TEXT    NOT NULL,
    begun      INTEGER NOT NULL,
    used       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
