import CLinux

extension SyscallTable {
  /// Calls that no program inside gets, whatever its uid, and the errno that makes programs fall back best.
  static let refused: [Group] = [
    Group(
      "another process's memory and descriptors", errno: UInt16(EPERM),
      .process_vm_writev, .pidfd_getfd, .kcmp),
    Group(
      "stops a thread inside the kernel at will: races on the supervisor's checks", errno: UInt16(EPERM),
      .userfaultfd),
    Group("code and probes in the kernel", errno: UInt16(EPERM), .bpf),
    Group("as perf_event_paranoid 3 says it", errno: UInt16(EACCES), .perf_event_open),
    Group("POSIX queues have names that no rule decides on", errno: UInt16(ENOSYS), .mq_open, .mq_unlink),
    Group("keys outlive and leave the session", errno: UInt16(ENOSYS), .keyctl, .add_key, .request_key),
    Group("opens files past every path rule", errno: UInt16(EPERM), .open_by_handle_at),
    Group("as a file system without handles says it", errno: UInt16(EOPNOTSUPP), .name_to_handle_at),
    Group("the namespaces of others", errno: UInt16(EPERM), .setns),
    Group(
      "the machine, not the session", errno: UInt16(EPERM),
      .reboot, .kexec_load, .kexec_file_load, .init_module, .finit_module, .delete_module, .swapon, .swapoff,
      .acct, .quotactl, .quotactl_fd, .settimeofday, .clock_settime,
      .clock_adjtime,
      .adjtimex, .iopl, .ioperm, .syslog, .vhangup, .lsm_set_self_attr),
    Group(
      "would act without passing this filter", errno: UInt16(ENOSYS),
      .io_uring_setup, .io_uring_enter, .io_uring_register, .io_setup, .io_destroy, .io_getevents, .io_submit,
      .io_cancel, .io_pgetevents),
    Group("watches and holds other processes' opens", errno: UInt16(EPERM), .fanotify_init, .fanotify_mark),
    Group("its flags are in memory: libc falls back to clone", errno: UInt16(ENOSYS), .clone3),
    Group(
      "attributes by path that nothing decides on yet: callers fall back to ioctl", errno: UInt16(ENOSYS),
      .file_setattr),
    Group("namespaces of others", errno: UInt16(ENOSYS), .listns),
    Group("16-bit segments: surface that nobody here needs", errno: UInt16(ENOSYS), .modify_ldt),
    Group(
      "not in current kernels", errno: UInt16(ENOSYS),
      .uselib, .ustat, ._sysctl, .create_module, .get_kernel_syms, .query_module, .nfsservctl, .getpmsg,
      .putpmsg,
      .afs_syscall, .tuxcall, .security, .vserver, .set_thread_area, .get_thread_area, .lookup_dcookie,
      .epoll_ctl_old, .epoll_wait_old),
  ]
}
