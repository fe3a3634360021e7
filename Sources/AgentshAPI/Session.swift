/// One session as the API shows it. Field names are upstream's; a field that is nil is left out.
package struct Session: Codable, Sendable, Equatable {
  package var id: String
  package var state: State
  /// RFC 3339, UTC.
  package var createdAt: String
  /// Canonical path of the directory that the session works in.
  package var workspace: String
  package var workspaceMount: String?
  /// The policy's name.
  package var policy: String
  package var profile: String?
  package var cwd: String
  package var virtualRoot: String?
  package var proxyURL: String?
  package var llmProxyURL: String?
  package var projectRoot: String?
  package var gitRoot: String?

  /// `ready` until a program runs in it, `running` while one does, `finished` after the last.
  package enum State: String, Codable, Sendable { case ready, running, finished }

  package init(id: String, state: State, createdAt: String, workspace: String, policy: String, cwd: String) {
    self.id = id
    self.state = state
    self.createdAt = createdAt
    self.workspace = workspace
    self.policy = policy
    self.cwd = cwd
  }

  enum CodingKeys: String, CodingKey {
    case id, state, workspace, policy, profile, cwd
    case createdAt = "created_at"
    case workspaceMount = "workspace_mount"
    case virtualRoot = "virtual_root"
    case proxyURL = "proxy_url"
    case llmProxyURL = "llm_proxy_url"
    case projectRoot = "project_root"
    case gitRoot = "git_root"
  }
}

/// A session's id: `[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}`.
package func isSessionID(_ text: String) -> Bool {
  let bytes = text.utf8
  guard let first = bytes.first, bytes.count <= 128 else { return false }
  func alphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: false
    }
  }
  return alphanumeric(first)
    && bytes.allSatisfy { alphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
}

/// `POST /api/v1/sessions`. A field that is not one of these is an error, not ignored.
package struct CreateSessionRequest: Codable, Sendable, Equatable {
  package var id: String?
  /// Absolute path of a directory that the caller can open.
  package var workspace: String
  /// A policy's name; nil: `agent-default`.
  package var policy: String?
  /// Not honoured: the server refuses a request that sets it (400).
  package var profile: String?
  /// Not honoured: the caller's home comes from the user database. The server refuses a request that sets it (400).
  package var home: String?
  /// Whether PROJECT_ROOT is looked for at and above the workspace; nil: it is.
  package var detectProjectRoot: Bool?
  /// PROJECT_ROOT as the caller says it; the workspace must lie in it.
  package var projectRoot: String?
  /// Switches the `/workspace` alias of path patterns off.
  package var realPaths: Bool?
  /// Ours: the policy itself (YAML), instead of a name.
  package var policyText: String?
  /// Ours: canonical path that `policyText` was read from: for messages, and protected from the session.
  package var policyFile: String?
  /// Ours: where the caller named a link to `policyFile`, the link's own path, protected as well.
  package var policyLink: String?
  /// Ours: policy keys that are not enforced yet become warnings.
  package var allowUnenforced: Bool?

  package init(workspace: String) { self.workspace = workspace }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case id, workspace, policy, profile, home
    case detectProjectRoot = "detect_project_root"
    case projectRoot = "project_root"
    case realPaths = "real_paths"
    case policyText = "policy_text"
    case policyFile = "policy_file"
    case policyLink = "policy_link"
    case allowUnenforced = "allow_unenforced"
  }

  package init(from decoder: any Decoder) throws {
    try refuseUnknownFields(of: CodingKeys.self, in: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    workspace = try fields.decode(String.self, forKey: .workspace)
    id = try fields.decodeIfPresent(String.self, forKey: .id)
    policy = try fields.decodeIfPresent(String.self, forKey: .policy)
    profile = try fields.decodeIfPresent(String.self, forKey: .profile)
    home = try fields.decodeIfPresent(String.self, forKey: .home)
    detectProjectRoot = try fields.decodeIfPresent(Bool.self, forKey: .detectProjectRoot)
    projectRoot = try fields.decodeIfPresent(String.self, forKey: .projectRoot)
    realPaths = try fields.decodeIfPresent(Bool.self, forKey: .realPaths)
    policyText = try fields.decodeIfPresent(String.self, forKey: .policyText)
    policyFile = try fields.decodeIfPresent(String.self, forKey: .policyFile)
    policyLink = try fields.decodeIfPresent(String.self, forKey: .policyLink)
    allowUnenforced = try fields.decodeIfPresent(Bool.self, forKey: .allowUnenforced)
  }
}
