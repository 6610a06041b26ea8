#define _GNU_SOURCE
#include "CWeir.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static __thread void *current_loop;
void *weir_current_loop(void) { return current_loop; }
void weir_set_current_loop(void *loop) { current_loop = loop; }

static int result(int r) { return r < 0 ? -errno : r; }

int weir_pipe(int ends[2]) { return result(pipe2(ends, O_CLOEXEC | O_NONBLOCK)); }

int weir_accept(int listener, void *address, uint32_t *length) {
  socklen_t size = *length;
  int fd = accept4(listener, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  *length = size;
  return result(fd);
}

int weir_stream_socket(int family) { return result(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

int weir_unread(int fd) {
  int count = 0;
  return ioctl(fd, FIONREAD, &count) < 0 ? 0 : count;
}

void weir_keep_freed_memory(void) {
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

// What children start with, as this process did. 0: it was not changed.
static rlim_t first_descriptor_limit = 0;

void weir_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max) return;
  rlim_t first = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) first_descriptor_limit = first;
}

long weir_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 256;
  return limit.rlim_cur > 1 << 30 ? 1 << 30 : (long)limit.rlim_cur;
}

void weir_restore_descriptor_limit(int pid) {
#ifdef __linux__
  struct rlimit limit;
  if (first_descriptor_limit == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = first_descriptor_limit;
  prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
#endif
}

void weir_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int weir_random(void *bytes, size_t count) {
  size_t done = 0;
  while (done < count) {
    ssize_t n = getrandom((char *)bytes + done, count - done, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    done += (size_t)n;
  }
  return 0;
}

static atomic_int signal_pipe[65];

static void on_signal(int number) {
  int saved = errno;
  unsigned char byte = (unsigned char)number;
  int fd = atomic_load(&signal_pipe[number]) - 1;
  // A full pipe means that the loop has plenty of arrivals to read: dropping one more is right.
  if (fd >= 0 && write(fd, &byte, 1) < 0) {}
  errno = saved;
}

int weir_signal_watch(int number, int fd) {
  if (number < 1 || number > 64) return -EINVAL;
  atomic_store(&signal_pipe[number], fd + 1);
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  return result(sigaction(number, &action, NULL));
}

int weir_signal_unwatch(int number) {
  if (number < 1 || number > 64) return -EINVAL;
  struct sigaction action = {0};
  action.sa_handler = SIG_DFL;
  int r = result(sigaction(number, &action, NULL));
  atomic_store(&signal_pipe[number], 0);
  return r;
}

void weir_ignore_write_signals(void) {
  struct sigaction action = {0};
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
  sigaction(SIGXFSZ, &action, NULL);
}
