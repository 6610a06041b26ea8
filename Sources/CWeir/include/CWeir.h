// What Swift's Glibc module leaves out of the system calls that WeirIO stands on, as plain functions.
// Headers that need _GNU_SOURCE stay in CWeir.c: seen here they would redefine types that the Glibc module has too.
#ifndef CWEIR_H
#define CWEIR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The loop that runs on the calling thread, or NULL.
void *weir_current_loop(void);
void weir_set_current_loop(void *loop);

// A poll result: the registration's token and what is ready.
typedef struct {
  uint64_t token;
  uint32_t ready;
} weir_event;

enum { WEIR_READABLE = 1, WEIR_WRITABLE = 2, WEIR_BROKEN = 4 };

// All return a negative errno on failure.
int weir_poller_create(void);
int weir_poller_add(int poller, int fd, uint32_t interest, uint64_t token);
int weir_poller_change(int poller, int fd, uint32_t interest, uint64_t token);
int weir_poller_remove(int poller, int fd);
// Waits at most `nanoseconds` (negative: for ever). An interrupted wait is 0 events.
int weir_poller_wait(int poller, weir_event *events, int limit, int64_t nanoseconds);

int weir_wakeup_create(void);
void weir_wakeup_signal(int fd);
void weir_wakeup_clear(int fd);

// A pipe, both ends non-blocking and closed at exec.
int weir_pipe(int ends[2]);

int weir_accept(int listener, void *address, uint32_t *length);
int weir_stream_socket(int family);
// Bytes received and not yet read.
int weir_unread(int fd);

void weir_name_thread(const char *name);

// Memory that is freed stays with the process up to 4 MB, instead of going back to the system and coming again page by page.
void weir_keep_freed_memory(void);

// As many descriptors as the system lets this process have, and how many that is. A child gets what this process had before.
void weir_raise_descriptor_limit(void);
long weir_descriptor_limit(void);
void weir_restore_descriptor_limit(int pid);
// Whether `path` leads to the file of `fd`, and whether no name leads to it any more. Neither asks for times: whoever has asked for
// those of a file that is written makes the kernel note each write's (Linux 6.13), and its synchronisations half as long again.
int weir_is_in_place(int fd, const char *path);
int weir_is_removed(int fd);

// Whether one call makes all of the file system of `fd` durable and says when it could not, and that call: 0 or a negative errno.
int weir_syncs_whole(int fd);
int weir_sync_whole(int fd);

int weir_random(void *bytes, size_t count);

// Each arrival of `signal` writes one byte, its number, to `fd`. The handler ends at exec, unlike a blocked signal.
int weir_signal_watch(int signal, int fd);
int weir_signal_unwatch(int signal);
// A write that cannot be answers with an error (EPIPE, EFBIG) instead of ending the process.
void weir_ignore_write_signals(void);

// A pipe to or from a child: both ends closed at exec and above the standard streams, end `ours` non-blocking.
int weir_child_pipe(int ends[2], int ours);
// Starts a program in a process group of its own, with no descriptor but `standard` (its 0, 1, 2; -1: /dev/null), every
// signal at its default and none blocked. Blocks until the program has been loaded. Answers its pid and the pidfd.
int weir_spawn(const char *path, char *const arguments[], char *const environment[], const int standard[3], int *pidfd);
// 1: it has ended, with this code, or by this signal (code -1); 0: it runs.
int weir_child_reap(int pidfd, int *code, int *signal);
// To every process of the child's group; number 0 only asks whether there is one (-ESRCH: none).
int weir_group_signal(int pidfd, int group, int number);

#endif
