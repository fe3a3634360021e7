import CLinux

/// A failed system call: which call, and what the kernel said.
///
/// `errno(3)`.
package struct SystemCallError: Error, Equatable, CustomStringConvertible, Sendable {
  package let call: StaticName
  package let errno: Int32

  package init(_ call: StaticName, _ errno: Int32) {
    self.call = call
    self.errno = errno
  }

  package var description: String { "\(call.text): \(errnoText(errno))" }
}

/// A name known at compile time, so that making an error allocates nothing.
package struct StaticName: ExpressibleByStringLiteral, Equatable, Sendable {
  private let literal: StaticString
  package init(stringLiteral value: StaticString) { literal = value }
  package var text: String { literal.description }
  package static func == (a: StaticName, b: StaticName) -> Bool { a.text == b.text }
}

/// The field's words for an errno: symbolic name and number, without locale. `errno(3)`.
package func errnoText(_ code: Int32) -> String {
  if let name = errnoNames[code] { return "\(name) (\(code))" }
  return "errno \(code)"
}

private let errnoNames: [Int32: String] = [
  EPERM: "EPERM", ENOENT: "ENOENT", ESRCH: "ESRCH", EINTR: "EINTR", EIO: "EIO", ENXIO: "ENXIO",
  E2BIG: "E2BIG",
  ENOEXEC: "ENOEXEC", EBADF: "EBADF", ECHILD: "ECHILD", EAGAIN: "EAGAIN", ENOMEM: "ENOMEM", EACCES: "EACCES",
  EFAULT: "EFAULT", EBUSY: "EBUSY", EEXIST: "EEXIST", EXDEV: "EXDEV", ENODEV: "ENODEV", ENOTDIR: "ENOTDIR",
  EISDIR: "EISDIR", EINVAL: "EINVAL", ENFILE: "ENFILE", EMFILE: "EMFILE", ENOTTY: "ENOTTY",
  ETXTBSY: "ETXTBSY",
  EFBIG: "EFBIG", ENOSPC: "ENOSPC", ESPIPE: "ESPIPE", EROFS: "EROFS", EMLINK: "EMLINK", EPIPE: "EPIPE",
  ERANGE: "ERANGE", EDEADLK: "EDEADLK", ENAMETOOLONG: "ENAMETOOLONG", ENOSYS: "ENOSYS",
  ENOTEMPTY: "ENOTEMPTY",
  ELOOP: "ELOOP", ENOTSOCK: "ENOTSOCK", EMSGSIZE: "EMSGSIZE", EPROTONOSUPPORT: "EPROTONOSUPPORT",
  EOPNOTSUPP: "EOPNOTSUPP", EAFNOSUPPORT: "EAFNOSUPPORT", EADDRINUSE: "EADDRINUSE",
  EADDRNOTAVAIL: "EADDRNOTAVAIL", ENETUNREACH: "ENETUNREACH", ECONNABORTED: "ECONNABORTED",
  ECONNRESET: "ECONNRESET", EISCONN: "EISCONN", ENOTCONN: "ENOTCONN", ETIMEDOUT: "ETIMEDOUT",
  ECONNREFUSED: "ECONNREFUSED", EHOSTUNREACH: "EHOSTUNREACH", EALREADY: "EALREADY",
  EINPROGRESS: "EINPROGRESS",
  EDQUOT: "EDQUOT", ECANCELED: "ECANCELED",
]
