import CLinux
package import LinuxSystem

/// Whether a user is in one of these groups, by the user database as it is now: nothing is remembered, so that a change
/// counts from the next call on. Groups are names or numbers; one that does not exist has no members, and neither has
/// a database that cannot be asked. Blocks, as `userEntry`.
package func isMember(_ uid: UInt32, ofAny groups: [String]) -> Bool {
  guard !groups.isEmpty, let user = try? userEntry(uid: uid) else { return false }
  return isMember(user, ofAny: groups)
}

func isMember(_ user: UserEntry, ofAny groups: [String]) -> Bool {
  groups.contains { name in
    guard let number = UInt32(name) ?? groupNumber(name) else { return false }
    return user.groups.contains(number)
  }
}

/// nil when there is no such group. `getgrnam_r(3)`
private func groupNumber(_ name: String) -> UInt32? {
  var size = 1 << 12
  while size <= 1 << 22 {
    var buffer = [CChar](repeating: 0, count: size)
    var entry = unsafe group()
    var found: UnsafeMutablePointer<group>?
    // SAFETY: entry, buffer and found live across the call; a number is copied out.
    let result = unsafe getgrnam_r(name, &entry, &buffer, size, &found)
    if result == ERANGE {
      size *= 4
      continue
    }
    guard result == 0, unsafe found != nil else { return nil }
    return unsafe entry.gr_gid
  }
  return nil
}

/// Runs `body` with another user's rights to files, without supplementary groups, and takes ours back. The calling
/// thread alone changes; it keeps no supplementary groups, so give it up afterwards. Throws EPERM when the rights could
/// not be taken. `setfsuid(2)`, `setfsgid(2)`
package func withFileRights<R>(
  uid: UInt32, gid: UInt32, _ body: () -> R
) throws(SystemCallError) -> R {
  if uid == currentUser() { return body() }
  try check("setgroups", rawCall(Int(SYS_setgroups), 0, 0))
  let oldGroup = rawCall(Int(SYS_setfsgid), Int(gid))
  let oldUser = rawCall(Int(SYS_setfsuid), Int(uid))
  defer {
    rawCall(Int(SYS_setfsuid), oldUser)
    rawCall(Int(SYS_setfsgid), oldGroup)
  }
  // They report no errors: asked again with an id that is none, they say what holds.
  guard rawCall(Int(SYS_setfsuid), -1) == Int(uid), rawCall(Int(SYS_setfsgid), -1) == Int(gid) else {
    throw SystemCallError("setfsuid", EPERM)
  }
  return body()
}
