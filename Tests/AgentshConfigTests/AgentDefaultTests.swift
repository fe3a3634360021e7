import AgentshConfig
import AgentshPolicy
import Testing

private let context = PolicyContext(workspace: "/home/u/p", home: "/home/u")

private func agentDefault(_ context: PolicyContext = context) throws -> LoadedPolicy {
  try PolicyLibrary.load("agent-default", directories: [], context: context, allowUnenforced: false)
}

/// `op path -> verdict`, a line each; for exec the words after the first are arguments.
private func check(_ table: String, _ context: PolicyContext = context) throws {
  let policy = try CompiledPolicy(try agentDefault(context).rules)
  for line in table.split(separator: "\n") where !line.isEmpty {
    let halves = line.components(separatedBy: " -> ")
    let words = halves[0].split(separator: " ").map(String.init)
    let isCommand = words[0] == "exec"
    let path = isCommand ? words[1] : words.dropFirst().joined(separator: " ")
    let question = try PolicyQuestion(
      op: words[0], path: path, arguments: isCommand ? Array(words.dropFirst(2)) : [], context: context)
    let answer = try PolicyAnswer(policy, question)
    #expect(answer.policyDecision == halves[1], "\(line) (\(answer.rule))")
  }
}

extension Substring {
  fileprivate func components(separatedBy separator: String) -> [String] {
    var parts: [String] = [""]
    var rest = self
    while !rest.isEmpty {
      if rest.hasPrefix(separator) {
        parts.append("")
        rest = rest.dropFirst(separator.count)
      } else {
        parts[parts.count - 1].append(rest.removeFirst())
      }
    }
    return parts
  }
}

@Suite struct AgentDefaultTests {
  @Test func `it loads without anything that is not enforced`() throws {
    let loaded = try agentDefault()
    #expect(loaded.unenforced.isEmpty)
    #expect(loaded.rules.name == "agent-default")
    #expect(loaded.rules.audit.logAllowed)
  }

  @Test(arguments: ["/", "/home/u", "/root", "/srv/a b/{x}", "/tmp/w"])
  func `it loads for any workspace`(workspace: String) throws {
    _ = try agentDefault(PolicyContext(workspace: workspace, home: "/home/u"))
    _ = try agentDefault(PolicyContext(workspace: workspace, home: "/"))
  }

  @Test func `secrets are not readable`() throws {
    try check(
      """
      file_read /home/u/.ssh/id_ed25519 -> deny
      file_read /home/u/.ssh -> deny
      file_read /home/u/.ssh/config -> deny
      file_rename /home/u/.ssh -> deny
      file_read /home/other/.ssh/id_rsa -> deny
      file_read /root/.ssh/id_rsa -> deny
      file_read /home/u/.aws/credentials -> deny
      file_read /home/u/.gnupg/secring.gpg -> deny
      file_read /home/u/.kube/config -> deny
      file_read /home/u/.docker/config.json -> deny
      file_read /home/u/.netrc -> deny
      file_read /home/u/.git-credentials -> deny
      file_read /home/u/.config/git/credentials -> deny
      file_read /home/u/.config/git/config -> allow
      file_read /home/u/.config/gcloud/access_tokens.db -> deny
      file_read /home/u/.config/gh/hosts.yml -> deny
      file_read /home/u/.config/gh/config.yml -> allow
      file_read /home/u/.npmrc -> deny
      file_read /home/u/.pypirc -> deny
      file_read /home/u/.cargo/credentials.toml -> deny
      file_read /home/u/.mozilla/firefox/x.default/logins.json -> deny
      file_read /home/u/.config/google-chrome/Default/Cookies -> deny
      file_read /home/u/.bash_history -> deny
      file_read /home/u/p/.env -> deny
      file_read /home/u/p/a/b/.env.production -> deny
      file_rename /home/u/p/.env -> deny
      file_link /home/u/p/.env -> deny
      file_read /home/u/p/.env.example -> allow
      file_read /home/u/p/tests/id_rsa -> deny
      file_read /etc/shadow -> deny
      file_read /etc/shadow- -> deny
      file_read /etc/sudoers.d/x -> deny
      file_read /etc/ssh/ssh_host_ed25519_key -> deny
      file_read /etc/ssh/ssh_host_ed25519_key.pub -> allow
      file_read /proc/123/environ -> deny
      file_read /proc/123/mem -> deny
      file_read /proc/123/task/124/environ -> deny
      file_read /proc/123/status -> allow
      file_read /dev/sda1 -> deny
      file_read /run/secrets/token -> deny
      file_read /home/u/.config/mini-swe-agent/.env -> allow
      """)
  }

  @Test func `the workspace, temp and caches are free`() throws {
    try check(
      """
      file_create /home/u/p/src/main.c -> allow
      file_write /home/u/p/src/main.c -> allow
      file_delete /home/u/p/src/main.c -> allow
      file_rename /home/u/p/build -> allow
      file_mkdir /home/u/p/build -> allow
      file_symlink /home/u/p/node_modules/.bin/x -> allow
      file_create /home/u/p/.git/index.lock -> allow
      file_create /home/u/p/.git/objects/ab/cdef -> allow
      file_create /home/u/p/.env -> allow
      file_delete /home/u/p/.env -> allow
      file_create /tmp/cc123.s -> allow
      file_mknod /tmp/GMfifo123 -> allow
      file_create /var/tmp/x -> allow
      file_create /dev/shm/sem.x -> allow
      file_write /dev/null -> allow
      file_write /dev/tty -> allow
      file_write /dev/pts/3 -> allow
      file_mkdir /home/u/.cache -> allow
      file_create /home/u/.cache/pip/x -> allow
      file_create /home/u/.npm/_logs/x.log -> allow
      file_mkdir /home/u/.cargo -> allow
      file_create /home/u/.cargo/registry/index/x -> allow
      file_write /home/u/.cargo/.package-cache -> allow
      file_create /home/u/go/pkg/mod/cache/x -> allow
      file_create /home/u/.swiftpm/security/x -> allow
      file_write /proc/5/task/6/comm -> allow
      file_read /usr/bin/env -> allow
      file_read /etc/passwd -> allow
      file_read /home/u/other/README.md -> allow
      """)
  }

  @Test func `nothing else is written`() throws {
    try check(
      """
      file_create /home/u/x -> deny
      file_write /home/u/other/README.md -> deny
      file_delete /home/u/other/README.md -> deny
      file_rename /home/u/p2 -> deny
      file_rmdir /home/u -> deny
      file_write /etc/passwd -> deny
      file_create /usr/local/bin/x -> deny
      file_create /home/u/.local/bin/x -> deny
      file_create /home/u/.cargo/bin/x -> deny
      file_write /home/u/.cargo/config.toml -> deny
      file_create /home/u/go/bin/x -> deny
      file_write /home/u/.bashrc -> deny
      file_create /home/u/.config/autostart/x.desktop -> deny
      file_create /home/u/.config/systemd/user/x.service -> deny
      file_write /home/u/.claude/settings.json -> deny
      file_create /home/u/.claude/projects/x/y.jsonl -> allow
      file_write /home/u/.claude.json -> audit
      file_write /proc/5/mem -> deny
      file_write /proc/sys/kernel/core_pattern -> deny
      file_write /dev/kvm -> deny
      file_create /dev/x -> deny
      """)
  }

  @Test func `what runs later is denied, or recorded where git needs it`() throws {
    try check(
      """
      file_create /home/u/p/.git/hooks/pre-commit -> deny
      file_write /home/u/p/.git/hooks/pre-commit -> deny
      file_rename /home/u/p/.git/hooks/pre-commit -> deny
      file_symlink /home/u/p/.git/hooks/pre-commit -> deny
      file_delete /home/u/p/.git/hooks/pre-commit -> allow
      file_create /home/u/p/.git/hooks/pre-commit.sample -> allow
      file_mkdir /home/u/p/.git/hooks -> allow
      file_create /home/u/p/sub/.git/modules/a/b/hooks/post-checkout -> deny
      file_create /home/u/p/sub/.git/modules/a/b/hooks/post-checkout.sample -> allow
      file_create /home/u/p/mirror.git/hooks/post-receive -> deny
      file_create /home/u/other/.git/hooks/x.sample -> deny
      file_create /tmp/t/.git/hooks/pre-commit -> allow
      file_create /home/u/p/.git/config.lock -> allow
      file_rename /home/u/p/.git/config.lock -> allow
      file_rename /home/u/p/.git/config -> audit
      file_create /home/u/p/.git/config -> audit
      file_write /home/u/p/.git/config -> deny
      file_read /home/u/p/.git/config -> allow
      file_create /home/u/p/.vscode/settings.json -> audit
      file_write /home/u/p/.vscode/settings.json -> deny
      file_write /home/u/p/.envrc -> deny
      file_symlink /home/u/p/a/.mcp.json -> deny
      file_write /home/u/p/.claude/settings.local.json -> deny
      """)
  }

  @Test func `start files hold when the home is the workspace`() throws {
    try check(
      """
      file_write /home/u/.bashrc -> deny
      file_create /home/u/.local/bin/x -> deny
      file_rename /home/u/.local/bin -> deny
      file_read /home/u/.ssh/id_rsa -> deny
      file_rename /home/u/.ssh -> deny
      file_create /home/u/notes.txt -> allow
      """, PolicyContext(workspace: "/home/u", home: "/home/u"))
  }

  @Test func `a workspace inside a repository reaches its git directory and no more`() throws {
    try check(
      """
      file_create /home/u/p/.git/index.lock -> allow
      file_create /home/u/p/.git/hooks/pre-commit -> deny
      file_create /home/u/p/other/x -> deny
      file_create /home/u/p/sub/x -> allow
      """,
      PolicyContext(
        workspace: "/home/u/p/sub", home: "/home/u", projectRoot: "/home/u/p", gitRoot: "/home/u/p"))
  }

  @Test func `dangerous commands are denied and tools are not`() throws {
    try check(
      """
      exec sudo ls -> deny
      exec /usr/bin/sudo -> deny
      exec su -> deny
      exec mount -> deny
      exec mkfs.ext4 /dev/sda -> deny
      exec /sbin/iptables-restore -> deny
      exec nc -l 1 -> deny
      exec ssh host -> deny
      exec docker ps -> deny
      exec crontab -e -> deny
      exec dd if=/dev/zero of=/dev/sda -> deny
      exec dd if=/dev/zero of=file bs=1M -> allow
      exec dd of=/dev/null -> allow
      exec rm -rf / -> deny
      exec rm -rf /home/u -> deny
      exec rm -rf /usr -> deny
      exec rm -rf / --no-preserve-root -> deny
      exec rm -rf /home/u/p/build -> allow
      exec rm -rf build /tmp/x -> allow
      exec rm -rf . -> allow
      exec git push --force -> deny
      exec git push -f origin main -> deny
      exec git -C /x push origin +main -> deny
      exec git push --force-with-lease -> allow
      exec git push -u origin feature -> allow
      exec git commit -m push --force -> allow
      exec git commit -m fix -> allow
      exec git config core.hooksPath x -> deny
      exec git config --global alias.x !sh -> deny
      exec git config --get core.hooksPath -> allow
      exec git config user.email a@b.c -> allow
      exec git clone https://example.org/x -> allow
      exec apt-get install x -> deny
      exec dpkg -i x.deb -> deny
      exec dpkg -l -> allow
      exec sh -c true -> allow
      exec gcc -c x.c -> allow
      exec /usr/lib/gcc/x86_64-linux-gnu/12/cc1 -> allow
      exec /usr/bin/ld -> allow
      exec npm install -> allow
      exec cargo build -> allow
      exec python3 -m venv v -> allow
      exec swift build -> allow
      exec kill 5 -> allow
      """)
  }

  @Test func `the web and loopback are reachable, metadata and private networks are not`() throws {
    try check(
      """
      net_connect 93.184.216.34:443 -> allow
      net_connect 93.184.216.34:80 -> allow
      net_connect [2606:2800:220:1::1]:443 -> allow
      net_connect 93.184.216.34:22 -> deny
      net_connect 93.184.216.34:25 -> deny
      net_connect 127.0.0.1:3000 -> allow
      net_connect localhost:8080 -> allow
      net_connect 0.0.0.0:8080 -> allow
      net_connect [::1]:3000 -> allow
      net_connect 192.168.1.1:53 -> allow
      net_connect 192.168.1.1:443 -> deny
      net_connect 10.1.2.3:80 -> deny
      net_connect 172.16.0.1:443 -> deny
      net_connect 169.254.169.254:80 -> deny
      net_connect [fe80::1]:443 -> deny
      net_connect [fd00:ec2::254]:80 -> deny
      net_connect [::ffff:10.0.0.1]:443 -> deny
      unix_connect /run/docker.sock -> deny
      unix_connect /var/run/docker.sock -> deny
      unix_connect /run/user/1000/bus -> deny
      unix_connect /tmp/ssh-abc/agent.5 -> deny
      unix_connect /tmp/tmux-1000/default -> deny
      unix_connect /tmp/.X11-unix/X0 -> deny
      unix_connect @/tmp/.X11-unix/X0 -> deny
      unix_connect /home/u/.gnupg/S.gpg-agent -> deny
      unix_bind /home/u/p/server.sock -> allow
      unix_connect /tmp/pytest-1/s -> allow
      unix_connect /run/systemd/private -> deny
      unix_connect /home/u/other.sock -> deny
      """)
  }
}
