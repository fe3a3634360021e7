import GRDB
import LinuxSystem
import Synchronization

/// All events of all sessions: SQLite for asking, a JSONL file for reading along. Several processes may write (two
/// daemons of one user with different runtime directories); SQLite's lock puts them in a row.
///
/// A batch is in both when `append` returns, and in neither when it throws. A crash of this process loses nothing that
/// was acknowledged; a power failure may lose the last moments (`synchronous = NORMAL`).
package final class EventStore: Sendable {
  /// Steps of `append` that can fail; tests make them.
  package enum Step: Sendable { case insert, journal, commit }

  package struct Settings: Sendable {
    package var databasePath: String
    package var journalPath: String
    /// The JSONL file is set aside at this size, in bytes.
    package var journalRotateAt = 256 << 20
    /// So many set-aside files stay.
    package var journalsKept = 4
    /// How long a locked database is waited for.
    package var busySeconds = 5.0
    package init(databasePath: String, journalPath: String) {
      self.databasePath = databasePath
      self.journalPath = journalPath
    }
  }

  private let pool: DatabasePool
  private let writer: Mutex<Writer>
  private let onStep: @Sendable (Step) throws -> Void

  private struct Writer: ~Copyable {
    var journal: Journal
    var names = Names()
    private var version = 0
    init(_ journal: consuming Journal) { self.journal = journal }

    /// Another process may have removed names that we remember. `PRAGMA data_version`
    mutating func forgetWhatOthersChanged(_ db: Database) throws {
      let now = try Int.fetchOne(db.cachedStatement(sql: "PRAGMA data_version")) ?? 0
      if now != version { names.forget() }
      version = now
    }
  }

  /// Opens or creates both files. The directory must exist and belong to us alone.
  package init(
    _ settings: Settings, onStep: @escaping @Sendable (Step) throws -> Void = { _ in }
  ) throws(AuditError) {
    self.onStep = onStep
    do {
      pool = try DatabasePool(path: settings.databasePath, configuration: Self.configuration(settings))
      try pool.write(Schema.create)
      let journal = try Journal(
        path: settings.journalPath, rotateAt: settings.journalRotateAt, keep: settings.journalsKept)
      writer = Mutex(Writer(journal))
    } catch { throw .open(path: settings.databasePath, cause: "\(error)") }
  }

  private static func configuration(_ settings: Settings) -> Configuration {
    var configuration = Configuration()
    configuration.busyMode = .timeout(settings.busySeconds)
    configuration.maximumReaderCount = 4
    configuration.prepareDatabase { db in
      try db.execute(
        sql: "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY")
      try db.execute(sql: "PRAGMA wal_autocheckpoint = 8192")
    }
    return configuration
  }

  /// Stores a batch in one transaction; blocks. Returns how many were new: what is known already is passed over.
  @discardableResult
  package func append(_ rows: AuditRows) throws(AuditError) -> Int {
    do { return try writer.withLock { writer in try write(rows, &writer) } } catch {
      throw .append(cause: "\(error)")
    }
  }

  private func write(_ rows: AuditRows, _ writer: inout Writer) throws -> Int {
    try pool.writeWithoutTransaction { db in
      try db.execute(sql: "BEGIN IMMEDIATE")
      var start: Int?
      do {
        try writer.forgetWhatOthersChanged(db)
        let committed = try Int.fetchOne(db.cachedStatement(sql: "SELECT length FROM journal"))
        let (inserted, lines) = try insert(rows, &writer.names, db)
        let length = try writer.journal.prepare(committed: committed)
        start = length
        try onStep(.journal)
        try writer.journal.append(lines, at: length)
        try db.cachedStatement(sql: Self.lengthening).execute(arguments: [length + lines.count])
        try onStep(.commit)
        try db.execute(sql: "COMMIT")
        return inserted
      } catch {
        writer.names.forget()
        // Under the lock still: nobody else has appended.
        if let start, db.isInsideTransaction { try? writer.journal.truncate(to: start) }
        if db.isInsideTransaction { try? db.execute(sql: "ROLLBACK") }
        throw error
      }
    }
  }

  private static let lengthening =
    "INSERT INTO journal VALUES (0, ?) ON CONFLICT (id) DO UPDATE SET length = excluded.length"

  /// Returns how many rows were new, and their lines.
  private func insert(_ rows: AuditRows, _ names: inout Names, _ db: Database) throws -> (Int, [UInt8]) {
    let insertion = try Insertion(db)
    defer { insertion.end() }
    let lines = rows.lines
    // SAFETY: the pointer is used inside the closure alone.
    let known = try unsafe lines.withUnsafeBytes { bytes in
      var known: [Int] = []
      for (index, row) in rows.rows.enumerated() {
        try onStep(.insert)
        if try unsafe !insertion.insert(row, &names, bytes, rows.line(index)) { known.append(index) }
      }
      return known
    }
    if known.isEmpty { return (rows.count, lines) }
    let isKnown = Set(known)
    var new: [UInt8] = []
    for index in rows.rows.indices where !isKnown.contains(index) {
      new.append(contentsOf: lines[rows.line(index)])
      new.append(0x0A)
    }
    return (rows.count - known.count, new)
  }

  /// What is asked for, in the order asked for.
  package func events(_ query: EventQuery) async throws(AuditError) -> [StoredEvent] {
    let (sql, values) = query.sql
    do {
      return try await pool.read { db in
        try Row.fetchAll(db, sql: sql, arguments: values).map {
          StoredEvent(position: $0[0], type: $0[1], json: $0[2])
        }
      }
    } catch { throw .query(cause: "\(error)") }
  }

  /// The highest number stored of a stream; 0 when there is none. Blocks.
  package func lastNumber(of stream: UInt64) throws(AuditError) -> UInt64 {
    do {
      let number = try pool.read {
        try Int64.fetchOne(
          $0, sql: "SELECT max(number) FROM events WHERE stream = ?", arguments: [Int64(bitPattern: stream)])
      }
      return UInt64(clamping: number ?? 0)
    } catch { throw .query(cause: "\(error)") }
  }

  /// The position of the newest event; 0 when there is none.
  package func lastPosition() async throws(AuditError) -> Int64 {
    do {
      return try await pool.read { try Int64.fetchOne($0, sql: "SELECT max(position) FROM events") ?? 0 }
    } catch { throw .query(cause: "\(error)") }
  }

  /// Removes what is older than `time` (nanoseconds since 1970), at most `chunk` events in one transaction; blocks.
  /// Returns how many went; call again while it is `chunk`. The last call also forgets names that nobody uses.
  @discardableResult
  package func prune(before time: UInt64, chunk: Int = 10_000) throws(AuditError) -> Int {
    do {
      return try writer.withLock { writer in
        writer.names.forget()
        return try pool.write { db in
          try db.execute(sql: Self.removal, arguments: [Int64(clamping: time), chunk])
          let removed = db.changesCount
          if removed > 0, removed < chunk { try db.execute(sql: Self.forgetting) }
          return removed
        }
      }
    } catch { throw .prune(cause: "\(error)") }
  }

  private static let removal = """
    DELETE FROM events WHERE position IN (SELECT position FROM events WHERE time < ? ORDER BY time LIMIT ?)
    """
  private static let forgetting = """
    DELETE FROM names WHERE id NOT IN
      (SELECT path FROM events WHERE path IS NOT NULL UNION SELECT session FROM events UNION SELECT type FROM events)
    """
}
