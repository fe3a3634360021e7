import GRDB
import GRDBSQLite

/// The one statement that events go in with, bound and stepped by hand: GRDB's boxed arguments cost as much as SQLite.
@safe
struct Insertion {
  private static let text = """
    INSERT OR IGNORE INTO events (stream, number, owner, session, time, type, decision, effective, path, json)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """

  private let db: Database
  private let statement: SQLiteStatement

  init(_ db: Database) throws {
    self.db = db
    unsafe statement = try db.cachedStatement(sql: Self.text).sqliteStatement
  }

  /// True when the row is new. `line`: its JSON within `lines`, which outlives the call.
  func insert(
    _ row: AuditRows.Row, _ names: inout Names, _ lines: UnsafeRawBufferPointer, _ line: Range<Int>
  ) throws -> Bool {
    let session = try names.id(row.session, db)
    let type = try names.id(row.type, db)
    let path = try row.path.map { try names.id($0, db) }
    // One that failed fails the row: every code but SQLITE_OK is a number above 0.
    var code = bind(1, Int64(bitPattern: row.stream))
    code |= bind(2, Int64(bitPattern: row.number))
    code |= bind(3, Int64(row.owner))
    code |= bind(4, session)
    code |= bind(5, Int64(clamping: row.time))
    code |= bind(6, type)
    code |= bind(7, row.decision)
    code |= bind(8, row.effective)
    code |= bind(9, path)
    // SAFETY: the line lies in memory that outlives the step; the next row binds it anew, and `end` lets it go.
    code |= unsafe sqlite3_bind_text(
      statement, 10,
      UnsafeRawBufferPointer(rebasing: lines[line]).baseAddress?.assumingMemoryBound(to: CChar.self),
      Int32(line.count), nil)
    guard code == SQLITE_OK else { throw failure(code) }
    let result = unsafe sqlite3_step(statement)
    unsafe sqlite3_reset(statement)
    guard result == SQLITE_DONE else { throw failure(result) }
    return db.changesCount > 0
  }

  /// Forgets the last row's values.
  func end() {
    unsafe sqlite3_reset(statement)
    unsafe sqlite3_clear_bindings(statement)
  }

  private func bind(_ index: Int32, _ value: Int64?) -> Int32 {
    guard let value else { return unsafe sqlite3_bind_null(statement, index) }
    return unsafe sqlite3_bind_int64(statement, index, value)
  }

  /// A short word; SQLite copies it.
  private func bind(_ index: Int32, _ value: String?) -> Int32 {
    guard let value else { return unsafe sqlite3_bind_null(statement, index) }
    // SQLITE_TRANSIENT, a macro that Swift does not see.
    // SAFETY: never called, only compared with.
    let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    return unsafe value.withCString { unsafe sqlite3_bind_text(statement, index, $0, -1, copied) }
  }

  private func failure(_ code: Int32) -> DatabaseError {
    DatabaseError(resultCode: ResultCode(rawValue: code), message: db.lastErrorMessage)
  }
}
