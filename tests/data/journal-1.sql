PRAGMA application_id = 1346981200;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE in_doubt (
        source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
        run INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        lanes INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, -- lines
        "end" INTEGER NOT NULL,
        hits INTEGER NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (source, run, lane)
    ) WITHOUT ROWID;
INSERT INTO "in_doubt" VALUES(1,1,1,4,21,29,290,5,1.5);
CREATE TABLE sources (
        id INTEGER PRIMARY KEY AUTOINCREMENT,       -- never used again: it is what locks are taken on
        destination TEXT NOT NULL,
        name TEXT NOT NULL,                         -- as last named, to show
        path TEXT,                                  -- where it lay last, or of a pipe its --journal-name
        format TEXT,
        length INTEGER NOT NULL, digest BLOB NOT NULL,
        device INTEGER, inode INTEGER, size INTEGER, mtime INTEGER, -- as it lay when it was last read to its end
        ends BLOB NOT NULL, lines BLOB NOT NULL,    -- of each slot: place in bytes, lines before it
        mark INTEGER, mark_length INTEGER, mark_digest BLOB,
        hits INTEGER NOT NULL DEFAULT 0,
        updated REAL NOT NULL,
        seal BLOB NOT NULL                          -- a digest of the row, for SQLite does not notice every damage
    );
INSERT INTO "sources" VALUES(1,'http://127.0.0.1/piwik.php site 1','access.log','/var/log/access.log','combined',11,X'A257A4C47A6F0CF6001F7B593A8406DD',1,2,3,4,X'7801D36164008313108A4107CA9F00A561FC51794800C1C263347C50C363347DA086C768FA400D8FD1F4811A1EA3E903353C46D3076A78D02B7D000042CC6CC1',X'78019363800011282D07A535D0F8A3F29000190D1F48388CA60FD4F4309A3F50C363347DA086C768FA400D8FD1F4811A1E03953E005F081E01',200,16,X'8845CB57AFB957842632C3538CDB7C6E',27,1.79531581063430738451e+09,X'556AC233F8BBB82D9E690E4948335E4E');
CREATE INDEX by_digest ON sources (destination, digest);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sources',1);
COMMIT;
