extension SyscallTable {
  /// Calls whose every use is the kernel's business: they act on what the caller already holds, or only read.
  static let allowed: [Group] = [
    Group(
      "reading, writing and closing what is open",
      .read, .write, .close, .lseek, .pread64, .pwrite64, .readv, .writev, .preadv, .pwritev, .preadv2,
      .pwritev2,
      .sendfile, .splice, .tee, .vmsplice, .copy_file_range, .readahead, .fadvise64, .sync_file_range, .fsync,
      .fdatasync, .sync, .syncfs, .fallocate, .flock, .dup, .dup2, .dup3, .close_range, .cachestat
    ),
    Group("directories", .getcwd, .chdir, .fchdir, .umask),
    Group(
      "looking at what is open, or at no file in particular",
      .fstatfs, .fgetxattr, .flistxattr, .inotify_init, .inotify_init1, .inotify_rm_watch, .sysfs, .statmount,
      .listmount),
    Group(
      "memory",
      .mmap, .mprotect, .munmap, .brk, .mremap, .msync, .mincore, .madvise, .mlock, .mlock2, .munlock,
      .mlockall,
      .munlockall, .remap_file_pages, .memfd_create, .memfd_secret, .mseal, .map_shadow_stack, .pkey_mprotect,
      .pkey_alloc, .pkey_free, .mbind, .set_mempolicy, .get_mempolicy, .set_mempolicy_home_node, .membarrier),
    Group(
      "queues that are open, memory that is attached",
      .mq_timedsend, .mq_timedreceive, .mq_notify, .mq_getsetattr, .shmdt),
    Group("pipes and events", .pipe, .pipe2, .eventfd, .eventfd2, .signalfd, .signalfd4),
    Group(
      "waiting",
      .poll, .ppoll, .select, .pselect6, .epoll_create, .epoll_create1, .epoll_ctl, .epoll_wait, .epoll_pwait,
      .epoll_pwait2, .pause, .futex, .futex_waitv, .futex_wake, .futex_wait, .futex_requeue, .set_robust_list),
    Group(
      "time and timers",
      .nanosleep, .clock_nanosleep, .gettimeofday, .time, .times, .clock_gettime, .clock_getres, .getitimer,
      .setitimer, .alarm, .timer_create, .timer_settime, .timer_gettime, .timer_getoverrun, .timer_delete,
      .timerfd_create, .timerfd_settime, .timerfd_gettime),
    Group(
      "its own signals",
      .rt_sigaction, .rt_sigprocmask, .rt_sigreturn, .rt_sigpending, .rt_sigtimedwait, .rt_sigsuspend,
      .sigaltstack,
      .restart_syscall),
    Group(
      "its own processes and threads",
      .fork, .vfork, .exit, .exit_group, .wait4, .waitid, .set_tid_address, .rseq, .arch_prctl, .setpgid,
      .setsid,
      .sched_yield, .pidfd_open),
    Group(
      "who and what it is",
      .getpid, .getppid, .gettid, .getpgrp, .getpgid, .getsid, .getuid, .geteuid, .getgid, .getegid,
      .getgroups,
      .getresuid, .getresgid, .capget, .capset, .getrlimit, .setrlimit, .getrusage, .sysinfo, .uname, .getcpu,
      .getpriority, .ioprio_get, .sched_getparam, .sched_getscheduler, .sched_getaffinity, .sched_getattr,
      .sched_get_priority_max, .sched_get_priority_min, .sched_rr_get_interval, .getrandom),
    Group(
      "sockets that are already there; connect, bind and addresses are elsewhere",
      .accept, .accept4, .listen, .recvfrom, .recvmsg, .recvmmsg, .shutdown, .getsockname, .getpeername,
      .setsockopt,
      .getsockopt),
    Group(
      "narrowing itself further",
      .landlock_create_ruleset, .landlock_add_rule, .landlock_restrict_self, .lsm_get_self_attr,
      .lsm_list_modules),
    Group("trampolines that the kernel itself places", .uretprobe, .uprobe),
  ]
}
