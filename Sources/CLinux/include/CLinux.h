/* What Swift's Glibc module cannot see: raw system calls without errno, ioctl numbers that are function-like
 * macros, structures newer than the distribution's headers, and descriptor passing (CMSG_* macros).
 * Every function returns a value >= 0 or -errno. Nothing here decides anything. */
#ifndef CLINUX_H
#define CLINUX_H
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioctl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <linux/sched.h>
#include <time.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* Behind _GNU_SOURCE, which must not be set here: Swift's Glibc module is built without it, and the two would differ. */
int pthread_attr_setaffinity_np(pthread_attr_t *attributes, size_t size, const cpu_set_t *processors);
#ifndef O_PATH
#define O_PATH 010000000
#define O_DIRECT 040000
#define O_NOATIME 01000000
#define O_TMPFILE 020200000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef F_SETSIG
#define F_SETSIG 10
#define F_GETSIG 11
#endif
#ifndef POLLRDHUP
#define POLLRDHUP 0x2000
#endif
struct clinux_ucred { int32_t pid; uint32_t uid, gid; }; /* SO_PEERCRED, SCM_CREDENTIALS */

/* One raw system call: the kernel's own return value, -errno on failure. syscall(2) is variadic, which Swift lacks. */
long clinux_syscall(long number, long a, long b, long c, long d, long e, long f);

/* A pointer as a number for clinux_syscall. Not done in Swift: its optimiser does not see that memory is given away
 * with the number, and may keep what it knew of the contents. */
long clinux_address(const void *pointer);

/* malloc.h is not part of what Swift sees of glibc. */
void clinux_keep_freed_memory(void);

/* Tells threads of this process apart, without a system call. */
static inline unsigned long clinux_this_thread(void) { return (unsigned long)__builtin_thread_pointer(); }
/* seccomp_unotify(2). */
long clinux_seccomp_install(const struct sock_filter *program, unsigned short count, unsigned int flags);
long clinux_notif_receive(int listener, struct seccomp_notif *request);
long clinux_notif_send(int listener, struct seccomp_notif_resp *response);
/* The CPU that the calling thread runs on. getcpu(2) */
unsigned clinux_current_cpu(void);
long clinux_notif_id_valid(int listener, uint64_t id);
long clinux_notif_addfd(int listener, struct seccomp_notif_addfd *add);
/* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6; Debian 12's headers lack it. */
long clinux_notif_sync_wake_up(int listener);

/* cmsg(3): one message with up to count descriptors. */
long clinux_send_fds(int socket, const void *bytes, size_t length, const int *fds, int count);
/* Receives bytes and at most capacity descriptors (CLOEXEC); surplus ones are closed and truncation sets *truncated. */
long clinux_receive_fds(int socket, void *bytes, size_t length, int *fds, int capacity, int *count, int *truncated);

#define RESULT(call) ({ long r_ = (call); r_ < 0 ? -(long)errno : r_; })
/* Makes calls (seven numbers each: which, and its arguments) until one fails, in a child that shares descriptors, has no
 * exit signal and runs nothing else. The last one's result plus CLINUX_CALLS_BASE is added to the eventfd. Returns its pid. */
enum { CLINUX_CALLS_BASE = 4096 };
long clinux_calls_start(const long *calls, int count, int told);
/* fork(2), for what is irrevocable; never in a program with threads that hold locks. */
long clinux_fork(void);

enum { CLINUX_SPAWN_DESCRIPTORS = 256 };
struct clinux_spawn {
  const char *path;
  char *const *argv;
  char *const *envp;
  const int *fds;          /* fds[i] becomes descriptor i in the child; -1 leaves i closed */
  int fd_count;
  int set_ids;             /* 1: become uid, gid, groups before exec (and verify it) */
  unsigned int uid, gid;
  const unsigned int *groups;
  int group_count;
  int new_session;         /* 1: setsid() */
  int no_new_privs;        /* 1: no execve gives the child more rights */
  unsigned long keep_caps; /* with set_ids: capability bits that stay permitted, effective and ambient */
};
/* vfork-style spawn. Returns the child's pid; -errno with *stage = which step failed (see CLinux.c). */
long clinux_spawn(const struct clinux_spawn *request, int *pidfd, int *stage);

/* Two ways to leave one's memory, descriptors and stack to a child, without a copy: the child returns 0, the process that called
 * does not return; -errno where there is no child. No other thread may run, no signal have a handler. clone(2) */
enum { CLINUX_PID_DIGITS = 10 };
struct clinux_becoming { /* all of it stays: the parent comes to it when it does */
  const char *path;
  char *const *argv;
  char *const *envp;
  char *pid;               /* among argv: CLINUX_PID_DIGITS digits for the child's pid */
  const int *keep;         /* descriptors over 2 that stay open at execve */
  int keep_count;
  const char *failure;     /* written to 2, with the error's name, where execve fails; the process ends with 125 then */
  sigset_t mask;           /* ours to fill in */
};
/* Becomes a program; the child has exit signal SIGCHLD. */
long clinux_become(struct clinux_becoming *becoming);
/* Ends with 0; the child is our parent's, born in the control group whose directory `group` is (EACCES: not ours). Whoever is born
 * there need not be moved, for which the kernel takes up to 15 ms. */
long clinux_be_reborn(int group);

/* A helper that stays without the filter and sends the listener: the launcher's own sendmsg would wait for whoever
 * holds the listener, that is for itself. */
struct clinux_handoff {
  int socket;   /* where the byte 0x00 with the listener goes */
  int listener; /* futex: -1 until the listener is known, -2 to give up */
  int result;   /* 0 once sent, else -errno */
  int parent;
};
/* Makes the helper: the child's pid. The structure and the stack stay until clinux_handoff_finish. */
long clinux_handoff_start(struct clinux_handoff *handoff, void *stack, size_t stack_size);
/* Tells the helper the listener (or -2), waits until it is gone. 0, or -errno of what failed. */
long clinux_handoff_finish(struct clinux_handoff *handoff, int pid, int listener);

/* sigaction(2) with a disposition; SIG_IGN and handlers are function-like for Swift. */
static const int CLINUX_SIGNAL_DEFAULT = 0, CLINUX_SIGNAL_IGNORE = 1, CLINUX_SIGNAL_QUIET = 2;
void clinux_set_signal(int signal, int disposition);

static inline int clinux_wifexited(int status) { return WIFEXITED(status); }
static inline int clinux_wexitstatus(int status) { return WEXITSTATUS(status); }
static inline int clinux_wifsignaled(int status) { return WIFSIGNALED(status); }
static inline int clinux_wtermsig(int status) { return WTERMSIG(status); }
static inline int clinux_wifstopped(int status) { return WIFSTOPPED(status); }
static inline int clinux_wstopsig(int status) { return WSTOPSIG(status); }
static inline unsigned int clinux_major(unsigned long device) { return major(device); }
static inline unsigned int clinux_minor(unsigned long device) { return minor(device); }
char **clinux_environ(void);

static const int CLINUX_SYS_OPENAT2 = 437;

/* Landlock ABI 4 (network), 5 (ioctl), 6 (scope): newer than the 6.1 headers. */
struct clinux_landlock_ruleset_attr {
  uint64_t handled_access_fs, handled_access_net, scoped;
};
struct clinux_landlock_path_beneath {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));
struct clinux_landlock_net_port { uint64_t allowed_access, port; };

#endif
