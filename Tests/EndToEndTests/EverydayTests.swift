import Foundation
import Harness
import Testing

/// Programs that nobody here wrote do under `agent-default` what they do without us.
@Suite(.serialized) struct EverydayTests {
  @Test(arguments: Caller.allCases) func `make -j2 builds and tests a C project of Debian's`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let tarball = try debianSource("zlib")
    try place.copy(tarball, to: place.workspace + "/source.tar")
    let build = "tar xf source.tar && cd zlib-* && ./configure >configure.log && make -s -j2 && make -s check"
    let bare = try place.sh(build, timeout: .seconds(300))
    try #require(bare.succeeded, "\(bare)")
    try #require(place.sh("rm -r zlib-*").succeeded)
    let inside = try place.wrap(["sh", "-c", build], timeout: .seconds(300))
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.output.contains("zlib test OK"))
    #expect(inside.output == bare.output)
  }

  @Test(arguments: Caller.allCases) func `git clones, commits and collects garbage`(caller: Caller) throws {
    let place = try Place(as: caller)
    let script = """
      set -e; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
      git init -q -b main origin; cd origin
      for i in 1 2 3 4 5 6 7 8 9; do mkdir d$i; echo $i > d$i/f; git add -A; git commit -qm $i; done
      cd ..; git clone -q origin clone; cd clone
      git checkout -q -b side HEAD~3; echo s > s; git add s; git commit -qm s; git checkout -q main; git merge -q side -m m
      git gc -q --aggressive --prune=now; git fsck --strict; git stash list; git log --oneline | wc -l; git status --short
      cd ..; rm -rf origin clone
      """
    let bare = try place.sh(script)
    try #require(bare.succeeded, "\(bare)")
    let inside = try place.wrap(["sh", "-c", script])
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.output == bare.output)
    #expect(inside.errors == bare.errors)
  }

  @Test(arguments: Caller.allCases) func `pip installs a local wheel in a new venv`(caller: Caller) throws {
    let place = try Place(as: caller)
    try place.write(
      """
      import zipfile
      with zipfile.ZipFile("greeting-1.0-py3-none-any.whl", "w") as z:
          z.writestr("greeting.py", "print('hello from the wheel')")
          z.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: greeting\\nVersion: 1.0\\n")
          z.writestr("greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
          z.writestr("greeting-1.0.dist-info/RECORD", "")
      """, to: place.workspace + "/wheel.py")
    let script = """
      set -e; /usr/bin/python3 wheel.py; /usr/bin/python3 -m venv env
      env/bin/pip install --quiet --no-index ./greeting-1.0-py3-none-any.whl; env/bin/python -m greeting; rm -r env
      """
    let bare = try place.sh(script, timeout: .seconds(120))
    try #require(bare.succeeded, "\(bare)")
    let inside = try place.wrap(["sh", "-c", script])
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.trimmed == "hello from the wheel")
  }

  @Test(arguments: Caller.allCases) func `swift builds a small package`(caller: Caller) throws {
    let place = try Place(as: caller)
    place.environment["PATH"] = try toolchain() + ":/usr/bin:/bin"
    let script = """
      set -e; mkdir hello; cd hello; swift package init --type executable --name hello >/dev/null
      swift build 2>&1 | tail -n 1 | cut -c1-14; .build/debug/hello; cd ..; rm -rf hello
      """
    let bare = try place.sh(script, timeout: .seconds(300))
    try #require(bare.output.contains("Build complete"), "\(bare)")
    let inside = try place.wrap(["sh", "-c", script], timeout: .seconds(300))
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.output == bare.output)
  }

  @Test(arguments: Caller.allCases) func `a hundred pipelines of three stages`(caller: Caller) throws {
    let place = try Place(as: caller)
    let script = "for i in $(seq 100); do echo line $i | tr a-z A-Z | wc -c; done"
    let bare = try place.sh(script)
    let inside = try place.wrap(["sh", "-c", script])
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.output == bare.output)
    #expect(inside.output.split(separator: "\n").count == 100)
  }

  @Test(arguments: Caller.allCases) func `bash's <(…) and >(…), and pipes as /dev/stdin`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let script = """
      diff <(printf 'a\\nb\\n') <(printf 'a\\nc\\n'); echo abc | cat /dev/stdin; (echo out >/dev/stdout) | cat
      mkfifo done; echo to | tee >(cat >copied; echo >done) >/dev/null; cat done copied
      echo data | gzip | zcat /dev/fd/0; exec 3<>done; rm done; echo kept >/dev/fd/3; read line <&3; echo $line
      """
    let bare = try place.run(["/bin/bash", "-c", script])
    #expect(bare.output.contains("> c\nabc\n"), "\(bare)")
    try #require(place.sh("rm copied").succeeded)
    let inside = try place.wrap(["/bin/bash", "-c", script], timeout: .seconds(20))
    #expect(inside.output == bare.output, "\(inside)")
    #expect(inside.errors == bare.errors)
  }

  @Test(arguments: Caller.allCases) func `a timer every millisecond disturbs no open`(caller: Caller) throws {
    let place = try Place(as: caller)
    let program = try place.install("timer")
    try place.write("text", to: place.workspace + "/file")
    let bare = try place.run([program, "file", "2"])
    try #require(bare.succeeded, "\(bare)")
    let inside = try place.wrap([program, "file", "3"], policy: place.allowAll)
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.trimmed == "opened often, interrupted often")
  }

  @Test(arguments: Caller.allCases) func `eight threads at once`(caller: Caller) throws {
    let place = try Place(as: caller)
    let program = try place.install("threads")
    let bare = try place.run([program, ".", "100"])
    try #require(bare.trimmed == "0 failures", "\(bare)")
    let inside = try place.wrap([program, ".", "100"], policy: place.allowAll)
    #expect(inside.trimmed == "0 failures", "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `fork, vfork, spawn, threads and double forks`(caller: Caller) throws
  {
    let place = try Place(as: caller)
    let program = try place.install("forks")
    let bare = try place.run([program, "10"])
    try #require(bare.output == "130 programs\n0 failures\n", "\(bare)")
    let telling = try place.policy(
      """
      file_rules: [{name: files, paths: ["/", "/**"], operations: ["*"], decision: allow}]
      command_rules:
        - {name: none-such, commands: [no-such-command], decision: deny}
        - {name: rest, commands: ["*"], decision: allow}
      """)
    for policy in [try place.allowAll, telling] {
      let inside = try place.wrap([program, "10"], policy: policy)
      #expect(inside.output == bare.output, "\(inside)")
    }
  }

  /// The loader's directories, found as /bin/sh would find `swift`.
  private func toolchain() throws -> String {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    for folder in path.split(separator: ":") {
      let candidate = URL(fileURLWithPath: String(folder)).appendingPathComponent("swift")
        .resolvingSymlinksInPath()
      if access(candidate.path, X_OK) == 0 { return String(folder) }
    }
    throw HarnessError("swift is not on PATH")
  }

  private func debianSource(_ package: String) throws -> String {
    let fetched = try Programs.run([Programs.fixtures + "/debian-source", package, Programs.cache])
    guard fetched.succeeded else {
      throw HarnessError("the source of \(package) cannot be fetched: \(fetched)")
    }
    return fetched.trimmed
  }
}
