import Foundation
import Harness
import Testing

/// Behind these sockets listens somebody who acts outside of the sandbox for whoever connects. Under `agent-default` they
/// are out of reach, by their names and by others.
@Suite(.serialized) struct BusTests {
  @Test(arguments: Caller.allCases) func `buses and container daemons are out of reach by default`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let tricks = try place.install("tricks", at: place.workspace + "/tricks")
    let user = String(caller.uid)
    let names = [
      "docker.sock", "containerd/containerd.sock", "podman/podman.sock", "crio/crio.sock", "snapd.socket",
      "libvirt/libvirt-sock", "dbus/system_bus_socket", "systemd/private", "user/\(user)/bus",
      "user/\(user)/systemd/private", "user/\(user)/docker.sock",
    ]
    let folders = Set(names.map { "/run/" + ($0 as NSString).deletingLastPathComponent })
    // A /run of the test's own, where everybody may listen: neither rights nor an absent file keep anybody out.
    try place.mountPrivately(
      "mount -t tmpfs -o mode=777 none /run && mkdir -p \(folders.joined(separator: " ")) && chmod -R 777 /run"
    )
    let listener = try place.install("server", at: place.outside + "/server")
    let abstract = "/tmp/dbus-\(getpid())\(caller)"
    let server = try place.start(
      [listener] + names.map { "unix:/run/" + $0 } + ["abstract:" + abstract])
    let isReady = eventually { server.outputSoFar.contains("ready\n") }
    try #require(isReady, "\(server.errorsSoFar)")
    func attempt(_ trick: String, _ name: String) throws {
      let bare = try place.run([tricks, trick, name])
      #expect(bare.reached, "\(name) by \(trick) does not work bare: \(bare)")
      let inside = try place.wrap([tricks, trick, name])
      #expect(!inside.reached && inside.output.contains("EACCES"), "\(name) by \(trick): \(inside)")
    }
    for name in names {
      try attempt("unix_reaches", "/run/" + name)
      try attempt("unix_reaches", "/proc/self/root/run/" + name)
    }
    try attempt("unix_reaches", "/var/run/docker.sock")
    try attempt("abstract_reaches", abstract)
    server.signal(SIGKILL)
    _ = server.finish()
  }
}
