// Shared by the load tools: clock, sockets, /proc. Loopback only; every run is bounded in count and time.
#ifndef WEIR_LOAD_COMMON_H
#define WEIR_LOAD_COMMON_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

static inline void raise_file_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static inline struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static inline int dial(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in address = loopback(port);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

// CPU time of a process and all its threads and children (nginx's worker), nanoseconds.
static inline int64_t cpu_of(int pid) {
  int64_t sum = 0;
  char path[300];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *tasks = opendir(path);
  if (!tasks) return 0;
  for (struct dirent *entry; (entry = readdir(tasks));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
    FILE *file = fopen(path, "r");
    long long ran = 0;
    if (file && fscanf(file, "%lld", &ran) == 1) sum += ran;
    if (file) fclose(file);
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", pid, entry->d_name);
    file = fopen(path, "r");
    for (int child; file && fscanf(file, "%d", &child) == 1;) sum += cpu_of(child);
    if (file) fclose(file);
  }
  closedir(tasks);
  return sum;
}

// Resident kilobytes of a process and its children.
static inline long rss_kb(int pid) {
  char path[300];
  long kb = 0, pages = 0, skip = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  FILE *file = fopen(path, "r");
  if (file && fscanf(file, "%ld %ld", &skip, &pages) == 2) kb = pages * (sysconf(_SC_PAGESIZE) / 1024);
  if (file) fclose(file);
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
  file = fopen(path, "r");
  for (int child; file && fscanf(file, "%d", &child) == 1;) kb += rss_kb(child);
  if (file) fclose(file);
  return kb;
}

static inline int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static inline double percentile(double *sorted, long count, double p) {
  if (count == 0) return -1;
  long at = (long)(p * (count - 1) + 0.5);
  return sorted[at];
}
#endif
