-- Promotions that were asked for, dry runs aside. A row is written before anything is copied, and again with the tag, so that whoever
-- finds one can tell how far it came. `report` is the document that the caller was given.
CREATE TABLE promotion (
    id      TEXT    PRIMARY KEY,
    state   TEXT    NOT NULL CHECK (state IN ('copying', 'done', 'denied', 'failed')),
    actor   TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    target  TEXT    NOT NULL,
    tag     TEXT    NOT NULL,
    digest  TEXT    NOT NULL,
    plan    TEXT    NOT NULL,
    begun   INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    report  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX promotion_digest ON promotion (digest);
CREATE INDEX promotion_copying ON promotion (state) WHERE state = 'copying';
CREATE TRIGGER promotion_moves_forward BEFORE UPDATE ON promotion WHEN old.state <> 'copying'
    BEGIN SELECT RAISE(ABORT, 'a promotion that has ended does not change'); END;
CREATE TRIGGER promotion_is_kept BEFORE DELETE ON promotion BEGIN SELECT RAISE(ABORT, 'promotions are kept'); END;
