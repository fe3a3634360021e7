/// What is done to a file. The raw value is the bit in `FileOperations`.
package enum FileOperation: UInt8, Sendable, CaseIterable {
  case open, read, write, create, delete, rmdir, mkdir, rename, link, symlink, chmod, chown, mknod, truncate
  case setattr, stat, access, list, readlink, execute

  /// The word in policy files.
  package var word: StaticString {
    switch self {
    case .open: "open"
    case .read: "read"
    case .write: "write"
    case .create: "create"
    case .delete: "delete"
    case .rmdir: "rmdir"
    case .mkdir: "mkdir"
    case .rename: "rename"
    case .link: "link"
    case .symlink: "symlink"
    case .chmod: "chmod"
    case .chown: "chown"
    case .mknod: "mknod"
    case .truncate: "truncate"
    case .setattr: "setattr"
    case .stat: "stat"
    case .access: "access"
    case .list: "list"
    case .readlink: "readlink"
    case .execute: "execute"
    }
  }

  /// Only reads: decides which default holds when no rule matches.
  package var onlyReads: Bool {
    switch self {
    case .open, .read, .stat, .access, .list, .readlink, .execute: true
    default: false
    }
  }
}

/// A set of file operations. `open` and `read` govern one another, so a set that names one holds both.
package struct FileOperations: OptionSet, Sendable, Equatable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }
  package init(_ operation: FileOperation) { self.init(rawValue: 1 << UInt32(operation.rawValue)) }
  package static let all = FileOperations(rawValue: (1 << UInt32(FileOperation.allCases.count)) - 1)

  /// As `contains`, which goes through the protocol's tables in other modules, where nothing specializes it.
  package func has(_ operation: FileOperation) -> Bool { rawValue & FileOperations(operation).rawValue != 0 }

  /// Adds `read` for `open` and the reverse.
  package var normalized: FileOperations {
    let pair: FileOperations = [FileOperations(.open), FileOperations(.read)]
    return isDisjoint(with: pair) ? self : union(pair)
  }
}

/// What is done with a Unix socket.
package enum SocketOperation: UInt8, Sendable, CaseIterable { case connect, bind, listen, sendto }

package struct SocketOperations: OptionSet, Sendable, Equatable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package init(_ operation: SocketOperation) { self.init(rawValue: 1 << operation.rawValue) }
  package static let all = SocketOperations(rawValue: 0b1111)
}

/// An IP address in network byte order; IPv4 and IPv4-mapped IPv6 are the same `.v4`.
package enum IPAddress: Sendable, Equatable, Hashable {
  case v4(UInt32)
  case v6(high: UInt64, low: UInt64)
}

/// An address range. `bits` is the prefix length: 0–32 for `.v4`, 0–128 for `.v6`.
package struct AddressRange: Sendable, Equatable {
  package let base: IPAddress
  package let bits: UInt8
  package init(base: IPAddress, bits: UInt8) {
    self.base = base
    self.bits = bits
  }
}

/// Whom a signal is for, seen from the sender (POLICY.md, signal_rules).
package enum SignalTarget: UInt8, Sendable, CaseIterable {
  case `self`, children, descendants, siblings, session, parent, external, system, user, process, pidRange
}
