import Foundation
import Harness
import Testing

/// Root in a container installs a package: apt changes its user, dpkg changes owners and modes. The container is a mount
/// namespace with layers over the machine's directories, so that the machine stays as it is.
@Suite(.serialized) struct InstallTests {
  @Test func `apt-get installs a package, with the capabilities that takes and no others`() throws {
    let place = try Place(as: .root)
    try makeRepository(place)
    try layOver(
      place,
      """
      echo 'deb [trusted=yes] file:\(place.directory)/repository ./' >/etc/apt/sources.list
      rm -rf /etc/apt/sources.list.d /etc/apt/apt.conf.d/*proxy*
      """)
    let install = """
      umask 022; export DEBIAN_FRONTEND=noninteractive
      apt-get update -q && apt-get install -y -q agentsh-greeting && greeting && apt-get remove -y -q agentsh-greeting
      """
    let inside = try place.wrap(["sh", "-c", install], policy: place.allowAll, timeout: .seconds(90))
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.output.contains("hello from the package"), "\(inside)")
    #expect(!(inside.output + inside.errors).contains("Permission denied"), "\(inside)")
    let owned = try place.sh("stat -c '%U %a' /var/lib/agentsh-greeting/owned")
    #expect(owned.trimmed == "nobody 2750", "\(owned)")
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10.
    let mask = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10
    let status = try place.sh("cat /var/lib/agentsh-greeting/status").output
    for (set, expected) in [
      ("CapBnd", mask), ("CapEff", mask), ("CapPrm", mask), ("CapInh", 0), ("CapAmb", 0),
    ] {
      let line = status.split(separator: "\n").first { $0.hasPrefix(set + ":") } ?? ""
      let value = line.split(separator: "\t").last.flatMap { Int($0, radix: 16) }
      #expect(value == expected, "\(line)")
    }
    #expect(status.contains("NoNewPrivs:\t1"))
    let execs = try place.events(["--type", "execve"]).compactMap { $0["filename"] as? String }
    #expect(execs.contains { $0.hasSuffix("/dpkg") } && execs.contains { $0.hasSuffix("/apt/methods/file") })
    #expect(access("/usr/bin/greeting", F_OK) != 0, "the machine was changed")
  }

  @Test func `the policy holds for the package's own scripts`() throws {
    let place = try Place(as: .root)
    let policy = try place.policy(
      """
      file_rules:
        - {name: no-marks, paths: ["\(place.outside)/**"], operations: ["*"], decision: deny}
        - {name: files, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """)
    try makeRepository(place, script: "echo x >\(place.outside)/mark")
    try layOver(place)
    let deb = place.directory + "/repository/agentsh-greeting.deb"
    let inside = try place.wrap(["dpkg", "-i", deb], policy: policy, timeout: .seconds(60))
    #expect(inside.status != 0, "\(inside)")
    #expect(!place.exists(place.outside + "/mark"))
    #expect(try place.denials().contains("no-marks \(place.outside)/mark"))
  }

  /// What is written below /usr, /etc and /var from now on is written to memory, and only this place sees it.
  private func layOver(_ place: Place, _ more: String = ":") throws {
    let layers = place.directory + "/layers"
    try place.makeDirectory(layers)
    try place.mountPrivately(
      """
      umask 022
      mount -t tmpfs none \(layers)
      for d in usr etc var; do
        mkdir -p \(layers)/$d/upper \(layers)/$d/work
        mount -t overlay -o lowerdir=/$d,upperdir=\(layers)/$d/upper,workdir=\(layers)/$d/work none /$d
      done
      # Root's home is the place's here too: the layer over /etc hides what was mounted there.
      mount --bind \(place.directory)/passwd /etc/passwd
      \(more)
      """)
  }

  /// A package whose scripts do what packages' scripts do, in a repository that is a directory.
  private func makeRepository(_ place: Place, script: String = ":") throws {
    let repository = place.directory + "/repository"
    let package = repository + "/build"
    for path in ["", "/build", "/build/DEBIAN", "/build/usr", "/build/usr/bin"] {
      try place.makeDirectory(repository + path)
    }
    try place.write(
      """
      Package: agentsh-greeting
      Version: 1.0
      Architecture: all
      Maintainer: Tests <tests@example.org>
      Description: a package of the tests

      """, to: package + "/DEBIAN/control")
    try place.write(
      "#!/bin/sh\necho hello from the package\n", to: package + "/usr/bin/greeting", mode: 0o755)
    try place.write(
      """
      #!/bin/sh
      set -e
      if [ "$1" = configure ]; then
        mkdir -p /var/lib/agentsh-greeting
        cat /proc/self/status >/var/lib/agentsh-greeting/status
        echo x >/var/lib/agentsh-greeting/owned
        chown nobody /var/lib/agentsh-greeting/owned
        chmod 2750 /var/lib/agentsh-greeting/owned
        ldconfig
        \(script)
      fi

      """, to: package + "/DEBIAN/postinst", mode: 0o755)
    let built = try place.sh(
      """
      umask 022 && cd \(repository) && chmod 755 . build build/DEBIAN build/usr build/usr/bin &&
      dpkg-deb --build --root-owner-group build agentsh-greeting.deb && rm -r build &&
      { dpkg-deb --field agentsh-greeting.deb; echo 'Filename: ./agentsh-greeting.deb'
        echo "Size: $(stat -c %s agentsh-greeting.deb)"
        echo "SHA256: $(sha256sum agentsh-greeting.deb | cut -d' ' -f1)"; } >Packages
      """)
    try #require(built.succeeded, "\(built)")
  }
}
