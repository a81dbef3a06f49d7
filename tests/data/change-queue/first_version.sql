-- The change queue's tables as the first version made them, to the letter.
CREATE TABLE streams (
  id INTEGER PRIMARY KEY AUTOINCREMENT, workspace TEXT NOT NULL, project TEXT NOT NULL, kind INTEGER NOT NULL,
  container TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
  creates INTEGER NOT NULL DEFAULT 0, begun_ms INTEGER NOT NULL, UNIQUE (workspace, project, kind, container));
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, kind INTEGER NOT NULL, uid INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, size INTEGER NOT NULL, frees INTEGER NOT NULL, creates INTEGER NOT NULL, needs TEXT,
  payload BLOB NOT NULL);
CREATE INDEX changes_of_stream ON changes (stream, seq, kind, size, creates);
CREATE TABLE keys (
  id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, UNIQUE (uid, key));
CREATE TABLE intents (seq INTEGER PRIMARY KEY, text TEXT NOT NULL);
PRAGMA user_version = 1;
