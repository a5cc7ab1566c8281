-- What registries behind this one said last, and when: what is served while they do not answer. Manifests and blobs that came from
-- them are rows like any other, in the repository under its name here. What one registry said is never given out for the word of
-- another that has its place in the configuration now: `origin` is the base URL of the one that said it.

-- Only after the manifest is here: a tag that points to nothing would be served to nobody.
CREATE TABLE proxy_tag (
    repository INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    seen       INTEGER NOT NULL,   -- when the upstream said so last, kept to the hour while it says the same
    PRIMARY KEY (repository, name),
    FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest)
) STRICT, WITHOUT ROWID;

-- What is attached to a subject: a list of digests in the upstream's order, each of a manifest that is here and has this subject.
CREATE TABLE proxy_referrers (
    repository INTEGER NOT NULL REFERENCES repository (id),
    subject    TEXT    NOT NULL,
    digests    TEXT    NOT NULL,   -- JSON
    origin     TEXT    NOT NULL,
    seen       INTEGER NOT NULL,   -- as above
    PRIMARY KEY (repository, subject)
) STRICT, WITHOUT ROWID;
