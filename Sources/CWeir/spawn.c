// Programs as children of this process, for Linux: posix_spawn, a pidfd for the end, signals to the whole group.
// Another kernel's file stands beside this one.
#ifdef __linux__
#define _GNU_SOURCE
#include "CWeir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// In this kernel's numbering; older headers lack the names.
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define WEIR_P_PIDFD 3
#define WEIR_PIDFD_PROCESS_GROUP (1u << 2)

static int result(int r) { return r < 0 ? -errno : r; }

int weir_child_pipe(int ends[2], int ours) {
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  for (int i = 0; i < 2; i++) {
    if (ends[i] > 2) continue;
    // Somebody started us with a standard stream closed: the child's end must not lie where its streams will be.
    int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
    if (moved < 0) {
      int error = errno;
      close(ends[0]);
      close(ends[1]);
      return -error;
    }
    close(ends[i]);
    ends[i] = moved;
  }
  // Only ours: O_NONBLOCK belongs to the end of the pipe, and programs expect theirs to block.
  fcntl(ends[ours], F_SETFL, O_NONBLOCK | fcntl(ends[ours], F_GETFL));
  return 0;
}

// A kernel that was told to forget children takes their exit status with it (SIGCHLD ignored is inherited through exec).
static void keep_exit_statuses(void) {
  struct sigaction action;
  if (sigaction(SIGCHLD, NULL, &action) < 0) return;
  if (action.sa_handler != SIG_IGN && !(action.sa_flags & SA_NOCLDWAIT)) return;
  if (action.sa_handler == SIG_IGN) action.sa_handler = SIG_DFL;
  action.sa_flags &= ~SA_NOCLDWAIT;
  sigaction(SIGCHLD, &action, NULL);
}

static int describe(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, const int standard[3]) {
  for (int i = 0; i < 3; i++) {
    int isOpen = standard[i] >= 0 && fcntl(standard[i], F_GETFD) >= 0;
    // Onto itself it clears close-on-exec, as POSIX asks.
    int e = isOpen ? posix_spawn_file_actions_adddup2(actions, standard[i], i)
                   : posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
    if (e) return e;
  }
  // Not only ours are closed on exec: a library of the host may have opened others.
  int e = posix_spawn_file_actions_addclosefrom_np(actions, 3);
  if (e) return e;
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  if ((e = posix_spawnattr_setsigdefault(attributes, &all))) return e;
  if ((e = posix_spawnattr_setsigmask(attributes, &none))) return e;
  if ((e = posix_spawnattr_setpgroup(attributes, 0))) return e;
  return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
}

int weir_spawn(const char *path, char *const arguments[], char *const environment[], const int standard[3], int *pidfd) {
  keep_exit_statuses();
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int e = posix_spawn_file_actions_init(&actions);
  if (e) return -e;
  if ((e = posix_spawnattr_init(&attributes))) {
    posix_spawn_file_actions_destroy(&actions);
    return -e;
  }
  pid_t pid = 0;
  e = describe(&actions, &attributes, standard);
  if (!e) e = posix_spawn(&pid, path, &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (e) return -e;
  weir_restore_descriptor_limit(pid);
  // The child is ours to reap, so its number is nobody else's yet.
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) {
    e = errno;
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    return -e;
  }
  *pidfd = fd;
  return pid;
}

int weir_child_reap(int pidfd, int *code, int *signal) {
  siginfo_t info = {0};
  int r;
  do r = waitid((idtype_t)WEIR_P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
  while (r < 0 && errno == EINTR);
  if (r < 0) return -errno;
  if (info.si_pid == 0) return 0;
  *code = info.si_code == CLD_EXITED ? info.si_status : -1;
  *signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
  return 1;
}

int weir_group_signal(int pidfd, int group, int number) {
  // Since Linux 6.9 a pidfd means its group even after the leader was reaped: no number that could be used again.
  int r = (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, WEIR_PIDFD_PROCESS_GROUP);
  if (r == 0 || (errno != EINVAL && errno != ENOSYS && errno != EPERM)) return result(r);
  return result(kill(-group, number));
}
#endif
