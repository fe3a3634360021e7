#include <sched.h>
#include "CLinux.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

long clinux_syscall(long number, long a, long b, long c, long d, long e, long f)
{
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

void clinux_keep_freed_memory(void)
{
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TOP_PAD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

long clinux_address(const void *pointer) { return (long)pointer; }

long clinux_seccomp_install(const struct sock_filter *program, unsigned short count, unsigned int flags)
{
  struct sock_fprog fprog = { .len = count, .filter = (struct sock_filter *)program };
  return clinux_syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (long)&fprog, 0, 0, 0);
}

/* With a signal pending the kernel may give up before it has begun, while another thread is at the same listener. */
static long notif_retrying(int listener, unsigned long request, void *argument)
{
  long result;
  do result = clinux_syscall(SYS_ioctl, listener, (long)request, (long)argument, 0, 0, 0);
  while (result == -EINTR);
  return result;
}

long clinux_notif_receive(int listener, struct seccomp_notif *request)
{
  return clinux_syscall(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, (long)request, 0, 0, 0);
}

unsigned clinux_current_cpu(void) { return (unsigned)sched_getcpu(); }

long clinux_notif_send(int listener, struct seccomp_notif_resp *response)
{
  return notif_retrying(listener, SECCOMP_IOCTL_NOTIF_SEND, response);
}

long clinux_notif_id_valid(int listener, uint64_t id) { return notif_retrying(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id); }

long clinux_notif_addfd(int listener, struct seccomp_notif_addfd *add)
{
  return notif_retrying(listener, SECCOMP_IOCTL_NOTIF_ADDFD, add);
}

long clinux_notif_sync_wake_up(int listener)
{
  return clinux_syscall(SYS_ioctl, listener, SECCOMP_IOW(4, __u64), 1, 0, 0, 0);
}

long clinux_send_fds(int socket, const void *bytes, size_t length, const int *fds, int count)
{
  union { struct cmsghdr align; char space[CMSG_SPACE(sizeof(int) * 16)]; } control;
  struct iovec part = { .iov_base = (void *)bytes, .iov_len = length };
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
  if (count < 0 || count > 16) return -EINVAL;
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  }
  return clinux_syscall(SYS_sendmsg, socket, (long)&message, MSG_NOSIGNAL, 0, 0, 0);
}

long clinux_receive_fds(int socket, void *bytes, size_t length, int *fds, int capacity, int *count, int *truncated)
{
  union { struct cmsghdr align; char space[CMSG_SPACE(sizeof(int) * 32)]; } control;
  struct iovec part = { .iov_base = bytes, .iov_len = length };
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
  *count = 0;
  *truncated = 0;
  long received = clinux_syscall(SYS_recvmsg, socket, (long)&message, MSG_CMSG_CLOEXEC, 0, 0, 0);
  if (received < 0) return received;
  if (message.msg_flags & MSG_CTRUNC) *truncated = 1;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    int held = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < held; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      if (*count < capacity) fds[(*count)++] = fd;
      else { clinux_syscall(SYS_close, fd, 0, 0, 0, 0, 0); *truncated = 1; }
    }
  }
  return received;
}

long clinux_calls_start(const long *c, int count, int told)
{
  long result = clinux_syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0, 0);
  if (result) return result;
  for (; count > 0 && result >= 0; count--, c += 7) result = clinux_syscall(c[0], c[1], c[2], c[3], c[4], c[5], c[6]);
  unsigned long word = (unsigned long)(result + CLINUX_CALLS_BASE);
  clinux_syscall(SYS_write, told, (long)&word, sizeof word, 0, 0, 0);
  for (;;) clinux_syscall(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

long clinux_fork(void) { return RESULT(fork()); }

/* Between clone and exec only raw calls on memory that was ready before: no allocation, no locks, no Swift. */
struct spawn_state { const struct clinux_spawn *request; long error; int stage; sigset_t mask; };

enum { STAGE_DESCRIPTORS = 1, STAGE_SESSION, STAGE_GROUPS, STAGE_GID, STAGE_UID, STAGE_VERIFY, STAGE_CAPABILITIES, STAGE_EXEC };

static int spawn_child(void *argument)
{
  struct spawn_state *state = argument;
  const struct clinux_spawn *r = state->request;
  struct sigaction defaults = { .sa_handler = SIG_DFL };
#define STEP(number, call) do { state->stage = number; if ((state->error = (call)) < 0) _exit(127); } while (0)
  for (int s = 1; s < 32; s++)
    if (s != SIGKILL && s != SIGSTOP) sigaction(s, &defaults, NULL);
  /* Descriptors: first out of the way of their targets, then into place. */
  int moved[CLINUX_SPAWN_DESCRIPTORS];
  state->stage = STAGE_DESCRIPTORS;
  if (r->fd_count < 0 || r->fd_count > CLINUX_SPAWN_DESCRIPTORS) { state->error = -EINVAL; _exit(127); }
  for (int i = 0; i < r->fd_count; i++) {
    moved[i] = -1;
    if (r->fds[i] >= 0) STEP(STAGE_DESCRIPTORS, moved[i] = (int)clinux_syscall(SYS_fcntl, r->fds[i], F_DUPFD, r->fd_count, 0, 0, 0));
  }
  for (int i = 0; i < r->fd_count; i++) {
    if (moved[i] >= 0) STEP(STAGE_DESCRIPTORS, clinux_syscall(SYS_dup3, moved[i], i, 0, 0, 0, 0));
    else clinux_syscall(SYS_close, i, 0, 0, 0, 0, 0);
  }
  STEP(STAGE_DESCRIPTORS, clinux_syscall(SYS_close_range, r->fd_count, ~0U, 0, 0, 0, 0));
  if (r->new_session) STEP(STAGE_SESSION, clinux_syscall(SYS_setsid, 0, 0, 0, 0, 0, 0));
  if (r->set_ids) {
    if (r->keep_caps) STEP(STAGE_CAPABILITIES, clinux_syscall(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0, 0));
    STEP(STAGE_GROUPS, clinux_syscall(SYS_setgroups, r->group_count, (long)r->groups, 0, 0, 0, 0));
    STEP(STAGE_GID, clinux_syscall(SYS_setresgid, r->gid, r->gid, r->gid, 0, 0, 0));
    STEP(STAGE_UID, clinux_syscall(SYS_setresuid, r->uid, r->uid, r->uid, 0, 0, 0));
    unsigned a = 0, b = 0, c = 0;
    STEP(STAGE_VERIFY, clinux_syscall(SYS_getresuid, (long)&a, (long)&b, (long)&c, 0, 0, 0));
    if (a != r->uid || b != r->uid || c != r->uid) { state->error = -EPERM; _exit(127); }
    STEP(STAGE_VERIFY, clinux_syscall(SYS_getresgid, (long)&a, (long)&b, (long)&c, 0, 0, 0));
    if (a != r->gid || b != r->gid || c != r->gid) { state->error = -EPERM; _exit(127); }
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];
    if (!r->keep_caps && r->uid != 0) {
      STEP(STAGE_CAPABILITIES, clinux_syscall(SYS_capget, (long)&header, (long)data, 0, 0, 0, 0));
      if (data[0].permitted | data[1].permitted) { state->error = -EPERM; _exit(127); }
    }
    if (r->keep_caps) {
      for (int w = 0; w < 2; w++) {
        unsigned bits = (unsigned)(r->keep_caps >> (32 * w));
        data[w].effective = data[w].permitted = data[w].inheritable = bits;
      }
      STEP(STAGE_CAPABILITIES, clinux_syscall(SYS_capset, (long)&header, (long)data, 0, 0, 0, 0));
      for (int cap = 0; cap < 64; cap++)
        if (r->keep_caps >> cap & 1) STEP(STAGE_CAPABILITIES, clinux_syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0, 0));
    }
  }
  if (r->no_new_privs) STEP(STAGE_CAPABILITIES, clinux_syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0));
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  STEP(STAGE_EXEC, clinux_syscall(SYS_execve, (long)r->path, (long)r->argv, (long)r->envp, 0, 0, 0));
  _exit(127);
}

long clinux_spawn(const struct clinux_spawn *request, int *pidfd, int *stage)
{
  enum { SIZE = 64 * 1024 };
  struct spawn_state state = { .request = request };
  sigset_t all;
  char *stack = (char *)clinux_syscall(SYS_mmap, 0, SIZE, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
  if ((long)stack < 0 && (long)stack > -4096) { *stage = 0; return (long)stack; }
  *stage = 0;
  *pidfd = -1;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &state.mask);
  long pid = RESULT(clone(spawn_child, stack + SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &state, pidfd));
  sigprocmask(SIG_SETMASK, &state.mask, NULL);
  clinux_syscall(SYS_munmap, (long)stack, SIZE, 0, 0, 0, 0);
  if (pid < 0) return pid;
  if (state.error < 0) {
    waitpid((pid_t)pid, NULL, 0);
    if (*pidfd >= 0) close(*pidfd);
    *pidfd = -1;
    *stage = state.stage;
    return state.error;
  }
  return pid;
}

/* The parent's way out of memory that is the child's from now on: on a stack of its own, by raw calls only. */
static void leave(struct clinux_becoming *b, long child)
{
  if (!b) for (;;) clinux_syscall(SYS_exit_group, 0, 0, 0, 0, 0, 0);
  for (int i = CLINUX_PID_DIGITS; i-- > 0; child /= 10) b->pid[i] = (char)('0' + child % 10);
  long result = clinux_syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */, 0, 0, 0);
  for (int i = 0; i < b->keep_count && result >= 0; i++) result = clinux_syscall(SYS_fcntl, b->keep[i], F_SETFD, 0, 0, 0, 0);
  clinux_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&b->mask, 0, _NSIG / 8, 0, 0);
  if (result >= 0) result = clinux_syscall(SYS_execve, (long)b->path, (long)b->argv, (long)b->envp, 0, 0, 0);
  const char *name = strerrorname_np((int)-result); /* a table */
  if (!name) name = "unknown error";
  struct iovec said[] = { { (void *)b->failure, strlen(b->failure) }, { (void *)name, strlen(name) }, { "\n", 1 } };
  clinux_syscall(SYS_writev, 2, (long)said, 3, 0, 0, 0);
  for (;;) clinux_syscall(SYS_exit_group, 125, 0, 0, 0, 0, 0);
}

struct clone_call { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; };

/* A child on this stack and in this memory, which its parent leaves. 0 in the child, or -errno. By clone or clone3, neither of which
 * looks at the registers that the parent needs. Who left first may not have got far when the child leaves: a stack for each. */
static long split(long number, long first, long second, struct clinux_becoming *becoming)
{
  static char stacks[2][4096] __attribute__((aligned(16)));
  register long r8 __asm__("r8") = (long)leave, r9 __asm__("r9") = (long)becoming, r10 __asm__("r10") = (long)stacks[!becoming] + 4096;
  sigset_t all, before;
  long result;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before); /* no handler runs on a stack that two have */
  if (becoming) becoming->mask = before;
  clinux_syscall(SYS_set_tid_address, 0, 0, 0, 0, 0, 0); /* nothing is written into the child's memory at our end */
  __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjle 1f\n\tmov %%r10, %%rsp\n\tmov %%r9, %%rdi\n\tmov %%rax, %%rsi\n\tcall *%%r8\n\thlt\n1:"
                   : "=a"(result) : "a"(number), "D"(first), "S"(second), "d"(0), "r"(r8), "r"(r9), "r"(r10) : "rcx", "r11", "memory");
  sigprocmask(SIG_SETMASK, &before, NULL);
  return result;
}

long clinux_be_reborn(int group)
{
  struct clone_call call = { .flags = CLONE_VM | CLONE_PARENT | 0x200000000 /* CLONE_INTO_CGROUP, Linux 5.7 */, .cgroup = (uint64_t)group };
  return split(SYS_clone3, (long)&call, sizeof call, NULL);
}

/* Not by clone3, which many a container's filter lacks. */
long clinux_become(struct clinux_becoming *becoming) { return split(SYS_clone, CLONE_VM | SIGCHLD, 0, becoming); }

static void quiet(int signal) { (void)signal; }

void clinux_set_signal(int signal, int disposition)
{
  struct sigaction action = { .sa_handler = disposition == CLINUX_SIGNAL_IGNORE ? SIG_IGN : disposition == CLINUX_SIGNAL_QUIET ? quiet : SIG_DFL };
  sigaction(signal, &action, NULL);
}


/* Before main and before the Swift runtime's own constructors: those look for the runtime's files in /proc and abort, with
 * words about themselves, where it is not mounted. We need it too: the names, directories and descriptors of callers are
 * there. The launcher's diagnostics go where it was told. */
__attribute__((constructor(101))) static void require_proc(void)
{
  static const char text[] = "agentsh: /proc is not mounted here, or belongs to another pid namespace: nothing was run\n";
  char target[16] = "";
  /* The number that /proc gives us is our own, or it is another namespace's /proc. */
  if (readlink("/proc/self", target, sizeof target - 1) > 0 && atoi(target) == getpid()) return;
  const char *log = getenv("AGENTSH_WRAPPER_LOG_FD");
  int to = log ? atoi(log) : 2;
  if (write(to, text, sizeof text - 1) < 0) _exit(125);
  _exit(125);
}

char **clinux_environ(void) { extern char **environ; return environ; }
