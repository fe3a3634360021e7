import CLinux
package import LinuxSystem

/// An account as the user database says it.
package struct UserEntry: Sendable, Equatable {
  package let uid: UInt32
  package let gid: UInt32
  package let name: String
  package let home: String
  /// All groups, the primary one among them.
  package let groups: [UInt32]

  package init(uid: UInt32, gid: UInt32, name: String, home: String, groups: [UInt32]) {
    self.uid = uid
    self.gid = gid
    self.name = name
    self.home = home
    self.groups = groups
  }
}

/// The account of a uid; nil when there is none. Asks NSS (files, directory services), so it may block: never in a
/// static executable, never on the cooperative pool. Throws what NSS says, ERANGE for an entry over 1 MiB.
///
/// `getpwuid_r(3)`, `getgrouplist(3)`.
package func userEntry(uid: UInt32) throws(SystemCallError) -> UserEntry? {
  var size = 1 << 12
  while size <= 1 << 20 {
    var buffer = [CChar](repeating: 0, count: size)
    var entry = unsafe passwd()
    var found: UnsafeMutablePointer<passwd>?
    // SAFETY: entry, buffer and found live across the call and the copies.
    let result = unsafe getpwuid_r(uid, &entry, &buffer, size, &found)
    if result == ERANGE {
      size *= 4
      continue
    }
    guard result == 0 else { throw SystemCallError("getpwuid_r", result) }
    guard unsafe found != nil, let name = unsafe entry.pw_name, let home = unsafe entry.pw_dir else {
      return nil
    }
    // SAFETY: both point into `buffer`, which is alive until here, and end in NUL.
    let user = unsafe UserEntry(
      uid: uid, gid: entry.pw_gid, name: String(cString: name), home: String(cString: home),
      groups: groups(of: name, primary: entry.pw_gid))
    withExtendedLifetime(buffer) {}
    return user
  }
  throw SystemCallError("getpwuid_r", ERANGE)
}

private func groups(of name: UnsafePointer<CChar>, primary: UInt32) -> [UInt32] {
  var count: Int32 = 64
  while true {
    var list = [gid_t](repeating: 0, count: Int(count))
    let capacity = count
    // SAFETY: `list` has room for `count` entries.
    if unsafe getgrouplist(name, primary, &list, &count) >= 0 { return Array(list.prefix(Int(count))) }
    // NGROUPS_MAX; a database that wants more gets the primary group alone: fewer rights, never more.
    guard count > capacity, count <= 65_536 else { return [primary] }
  }
}

/// Lets the calling thread (it alone) touch files with another user's rights; for good: give the thread up afterwards.
/// Throws EPERM without CAP_SETUID and CAP_SETGID. `setfsuid(2)`, `setfsgid(2)`, `setgroups(2)`
package func takeFileRights(of user: UserEntry) throws(SystemCallError) {
  // SAFETY: the kernel reads `count` numbers.
  let result = unsafe user.groups.withUnsafeBufferPointer {
    rawCall(Int(SYS_setgroups), $0.count, kernelAddress($0.baseAddress))
  }
  try check("setgroups", result)
  rawCall(Int(SYS_setfsgid), Int(user.gid))
  rawCall(Int(SYS_setfsuid), Int(user.uid))
  // They report no errors: asked again with an id that is none, they say what holds.
  guard rawCall(Int(SYS_setfsuid), -1) == Int(user.uid), rawCall(Int(SYS_setfsgid), -1) == Int(user.gid)
  else {
    throw SystemCallError("setfsuid", EPERM)
  }
}
