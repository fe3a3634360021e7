import CLinux

/// The name of a notified system call; its number where we have none. `syscalls(2)`
func systemCallName(_ number: UInt16) -> String { names[Int(number)] ?? "syscall_\(number)" }

private let names: [Int: String] = [
  Int(SYS_open): "open", Int(SYS_openat): "openat", 437: "openat2", Int(SYS_creat): "creat",
  Int(SYS_unlink): "unlink", Int(SYS_unlinkat): "unlinkat", Int(SYS_rmdir): "rmdir",
  Int(SYS_rename): "rename", Int(SYS_renameat): "renameat", Int(SYS_renameat2): "renameat2",
  Int(SYS_mkdir): "mkdir", Int(SYS_mkdirat): "mkdirat", Int(SYS_link): "link", Int(SYS_linkat): "linkat",
  Int(SYS_symlink): "symlink", Int(SYS_symlinkat): "symlinkat", Int(SYS_mknod): "mknod",
  Int(SYS_mknodat): "mknodat", Int(SYS_truncate): "truncate", Int(SYS_ftruncate): "ftruncate",
  Int(SYS_chmod): "chmod", Int(SYS_fchmod): "fchmod", Int(SYS_fchmodat): "fchmodat", 452: "fchmodat2",
  Int(SYS_chown): "chown", Int(SYS_fchown): "fchown", Int(SYS_lchown): "lchown",
  Int(SYS_fchownat): "fchownat", Int(SYS_utime): "utime", Int(SYS_utimes): "utimes",
  Int(SYS_utimensat): "utimensat", Int(SYS_futimesat): "futimesat", Int(SYS_setxattr): "setxattr",
  Int(SYS_lsetxattr): "lsetxattr", Int(SYS_fsetxattr): "fsetxattr", Int(SYS_removexattr): "removexattr",
  Int(SYS_lremovexattr): "lremovexattr", Int(SYS_fremovexattr): "fremovexattr", Int(SYS_stat): "stat",
  Int(SYS_lstat): "lstat", Int(SYS_newfstatat): "newfstatat", Int(SYS_statx): "statx",
  Int(SYS_access): "access", Int(SYS_faccessat): "faccessat", 439: "faccessat2",
  Int(SYS_readlink): "readlink", Int(SYS_readlinkat): "readlinkat", Int(SYS_getdents64): "getdents64",
  Int(SYS_getdents): "getdents", Int(SYS_fstat): "fstat", Int(SYS_statfs): "statfs",
  Int(SYS_getxattr): "getxattr", Int(SYS_lgetxattr): "lgetxattr", Int(SYS_listxattr): "listxattr",
  Int(SYS_llistxattr): "llistxattr", Int(SYS_inotify_add_watch): "inotify_add_watch", 463: "setxattrat",
  466: "removexattrat",
  Int(SYS_execve): "execve", Int(SYS_execveat): "execveat", Int(SYS_connect): "connect",
  Int(SYS_bind): "bind", Int(SYS_listen): "listen", Int(SYS_sendto): "sendto", Int(SYS_sendmsg): "sendmsg",
  Int(SYS_sendmmsg): "sendmmsg", Int(SYS_prlimit64): "prlimit64", Int(SYS_setpriority): "setpriority",
  Int(SYS_ioprio_set): "ioprio_set", Int(SYS_sched_setparam): "sched_setparam",
  Int(SYS_sched_setscheduler): "sched_setscheduler", Int(SYS_sched_setaffinity): "sched_setaffinity",
  Int(SYS_sched_setattr): "sched_setattr", Int(SYS_move_pages): "move_pages",
  Int(SYS_migrate_pages): "migrate_pages", 440: "process_madvise", 448: "process_mrelease",
  Int(SYS_kcmp): "kcmp", Int(SYS_setuid): "setuid", Int(SYS_setgid): "setgid",
  Int(SYS_setreuid): "setreuid", Int(SYS_setregid): "setregid", Int(SYS_setresuid): "setresuid",
  Int(SYS_setresgid): "setresgid", Int(SYS_setgroups): "setgroups", Int(SYS_setfsuid): "setfsuid",
  Int(SYS_setfsgid): "setfsgid", Int(SYS_kill): "kill", Int(SYS_tkill): "tkill", Int(SYS_tgkill): "tgkill",
  Int(SYS_chdir): "chdir", Int(SYS_socket): "socket", Int(SYS_ptrace): "ptrace",
]
