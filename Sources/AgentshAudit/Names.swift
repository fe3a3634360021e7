import GRDB

/// Texts that many events share (sessions, types, paths), stored once: rows and indexes hold small numbers.
///
/// The cache belongs to one writer, and only to what is committed: after any failure it is emptied.
struct Names {
  static let cacheLimit = 1 << 16
  private var cache: [String: Int64] = [:]

  mutating func forget() { cache.removeAll(keepingCapacity: true) }

  mutating func id(_ text: String, _ db: Database) throws -> Int64 {
    if let known = cache[text] { return known }
    if cache.count >= Self.cacheLimit { forget() }
    let id = try stored(text, db)
    cache[text] = id
    return id
  }

  private func stored(_ text: String, _ db: Database) throws -> Int64 {
    let find = try db.cachedStatement(sql: "SELECT id FROM names WHERE text = ?")
    if let id = try Int64.fetchOne(find, arguments: [text]) { return id }
    let add = try db.cachedStatement(sql: "INSERT INTO names (text) VALUES (?)")
    try add.execute(arguments: [text])
    return db.lastInsertedRowID
  }
}
