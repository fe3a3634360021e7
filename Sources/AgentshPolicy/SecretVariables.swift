/// The variables that no agent inherits unless its policy names them: those that make loaders, interpreters and tools
/// run other code, and those that hold credentials.
package enum SecretVariables {
  /// Whether `name` is one, in any case of its (ASCII) letters.
  package static func contains(_ name: String) -> Bool {
    // By bytes: whether a string ends in another is asked character by character.
    let upper = name.utf8.map { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") ? $0 & ~0x20 : $0 }
    return prefixes.contains { upper.starts(with: $0.utf8) }
      || suffixes.contains { upper.suffix($0.utf8.count).elementsEqual($0.utf8) }
      || exact.contains(String(decoding: upper, as: UTF8.self))
  }

  private static let exact: Set<String> = [
    // Dynamic loader and C library (ld.so(8)): LD_* is a prefix.
    "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "MALLOC_TRACE",
    "NLSPATH",
    "RESOLV_HOST_CONF", "RES_OPTIONS",
    // Shells: files and code they read at the start.
    "BASH_ENV", "BASHOPTS", "ENV", "FPATH", "IFS", "PROMPT_COMMAND", "PS0", "PS4", "SHELLOPTS", "ZDOTDIR",
    // Interpreters.
    "CLASSPATH", "CORECLR_PROFILER", "CORECLR_PROFILER_PATH", "COR_PROFILER", "COR_PROFILER_PATH",
    "DOTNET_STARTUP_HOOKS", "ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
    "LUA_CPATH", "LUA_INIT", "LUA_PATH", "NODE_OPTIONS", "NODE_PATH", "PERL5DB", "PERL5LIB", "PERL5OPT",
    "PERLLIB",
    "PHPRC", "PHP_INI_SCAN_DIR", "PYTHONBREAKPOINT", "PYTHONEXECUTABLE", "PYTHONHOME", "PYTHONINSPECT",
    "PYTHONPATH",
    "PYTHONPLATLIBDIR", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONWARNINGS", "RUBYLIB", "RUBYOPT",
    "R_PROFILE",
    "R_PROFILE_USER", "TCLLIBPATH", "_JAVA_OPTIONS",
    // Tools that run what a variable names.
    "BROWSER", "GIT_ASKPASS", "GIT_EDITOR", "GIT_EXEC_PATH", "GIT_EXTERNAL_DIFF", "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_TEMPLATE_DIR", "LESSCLOSE", "LESSOPEN",
    "MANPAGER",
    "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER",
    "SSH_ASKPASS",
    "SSLKEYLOGFILE", "SUDO_ASKPASS",
    // Credentials, and sockets of those who hold them.
    "API_KEY", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "DATABASE_URL", "DOCKER_AUTH_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GPG_AGENT_INFO", "KRB5CCNAME", "KUBECONFIG", "MYSQL_PWD", "NETRC", "PASSWORD", "PGPASSFILE",
    "PGPASSWORD",
    "REDISCLI_AUTH", "SECRET", "SSH_AGENT_PID", "SSH_AUTH_SOCK", "TOKEN", "XAUTHORITY",
  ]
  private static let prefixes = [
    "LD_", "DYLD_", "AWS_", "BASH_FUNC_", "GIT_CONFIG", "VAULT_", "GDK_PIXBUF_MODULE",
  ]
  private static let suffixes = [
    "_TOKEN", "_SECRET", "_PASSWORD", "_PASSWD", "_PASSPHRASE", "_API_KEY", "_APIKEY", "_ACCESS_KEY",
    "_ACCESS_KEY_ID",
    "_SECRET_KEY", "_SECRET_ACCESS_KEY", "_PRIVATE_KEY", "_CLIENT_SECRET", "_CREDENTIAL", "_CREDENTIALS",
    "_AUTH_KEY",
  ]
}
