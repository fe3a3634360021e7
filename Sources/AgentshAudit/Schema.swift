import GRDB

/// The tables. Columns repeat what queries ask for; `json` is the event itself.
enum Schema {
  static let version = 1

  static func create(_ db: Database) throws {
    let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    guard found != version else { return }
    guard found == 0 else {
      throw DatabaseError(message: "version \(found) of the tables, this program knows \(version)")
    }
    try db.execute(sql: tables)
    try db.execute(sql: "PRAGMA user_version = \(version)")
  }

  /// `allow` stays out of the decision indexes: nobody looks for it without a session. STRICT keeps types honest.
  private static let tables = """
    CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE events (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      stream INTEGER NOT NULL, number INTEGER NOT NULL,
      owner INTEGER NOT NULL, session INTEGER NOT NULL, time INTEGER NOT NULL, type INTEGER NOT NULL,
      decision TEXT, effective TEXT, path INTEGER, json TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_identity ON events (stream, number);
    CREATE INDEX events_session ON events (session);
    CREATE INDEX events_time ON events (time);
    CREATE INDEX events_type ON events (type);
    CREATE INDEX events_path ON events (path) WHERE path IS NOT NULL;
    CREATE INDEX events_decision ON events (decision) WHERE decision <> 'allow';
    CREATE INDEX events_effective ON events (effective) WHERE effective <> 'allow';
    CREATE TABLE journal (id INTEGER PRIMARY KEY CHECK (id = 0), length INTEGER NOT NULL) STRICT;
    """
}
