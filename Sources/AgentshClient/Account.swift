import LinuxSystem

/// The caller as the kernel and the user database say it. Not `getpwuid(3)`: this program is static and loads no NSS.
package struct Account: Sendable, Equatable {
  package let uid: UInt32
  package let home: String

  package init(uid: UInt32, home: String) {
    self.uid = uid
    self.home = home
  }

  /// Of this process. The home is `/etc/passwd`'s; for accounts that are not in it (a directory service), `$HOME`
  /// where it is a directory of the caller's own.
  package static func current(homeVariable: String?) throws(ClientError) -> Account {
    let uid = currentUser()
    if case .success(let bytes) = readAll("/etc/passwd", limit: 16 << 20), let home = home(of: uid, in: bytes)
    {
      return Account(uid: uid, home: home)
    }
    guard let home = homeVariable, home.hasPrefix("/"), isOwnDirectory(home, uid) else {
      throw .noLocation("uid \(uid) is not in /etc/passwd, and HOME is not a directory of its own")
    }
    return Account(uid: uid, home: home)
  }

  /// The sixth field of the first line with this uid; nil when there is none or it is not absolute. `passwd(5)`.
  package static func home(of uid: UInt32, in passwd: [UInt8]) -> String? {
    for line in passwd.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      guard fields.count >= 7, UInt32(String(decoding: fields[2], as: UTF8.self)) == uid else { continue }
      let home = String(decoding: fields[5], as: UTF8.self)
      return home.hasPrefix("/") ? home : nil
    }
    return nil
  }

  private static func isOwnDirectory(_ path: String, _ uid: UInt32) -> Bool {
    guard let found = ownerAndType(path) else { return false }
    return found.uid == uid && found.type == .directory
  }
}
