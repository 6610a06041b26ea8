// Whose name leads where, and one call that makes a whole file system durable, where it can be trusted.
#define _GNU_SOURCE
#include "CWeir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef STATX_INO
static int look(int fd, const char *path, struct statx *info) {
  return statx(fd, path, path[0] ? 0 : AT_EMPTY_PATH, STATX_INO | STATX_NLINK, info);
}

int weir_is_in_place(int fd, const char *path) {
  struct statx own, named;
  return look(fd, "", &own) == 0 && look(AT_FDCWD, path, &named) == 0 && own.stx_ino == named.stx_ino &&
         own.stx_dev_major == named.stx_dev_major && own.stx_dev_minor == named.stx_dev_minor;
}

int weir_is_removed(int fd) {
  struct statx own;
  return look(fd, "", &own) == 0 && own.stx_nlink == 0;
}
#else
int weir_is_in_place(int fd, const char *path) {
  struct stat own, named;
  return fstat(fd, &own) == 0 && stat(path, &named) == 0 && own.st_ino == named.st_ino && own.st_dev == named.st_dev;
}

int weir_is_removed(int fd) {
  struct stat own;
  return fstat(fd, &own) == 0 && own.st_nlink == 0;
}
#endif

#ifdef __linux__
#include <sys/utsname.h>
#include <sys/vfs.h>

int weir_syncs_whole(int fd) {
  // Before Linux 5.8 syncfs(2) says nothing of writes that failed; of overlayfs it says nothing of those below.
  struct utsname system;
  int major = 0, minor = 0;
  if (uname(&system) < 0 || sscanf(system.release, "%d.%d", &major, &minor) != 2) return 0;
  if (major < 5 || (major == 5 && minor < 8)) return 0;
  struct statfs info;
  if (fstatfs(fd, &info) < 0) return 0;
  switch ((unsigned long)info.f_type) {
    case 0xEF53:      // ext4
    case 0x58465342:  // XFS
    case 0x9123683E:  // Btrfs
      return 1;
    default: return 0;
  }
}

int weir_sync_whole(int fd) { return syncfs(fd) < 0 ? -errno : 0; }
#else
int weir_syncs_whole(int fd) { return 0; }
int weir_sync_whole(int fd) { return -ENOSYS; }
#endif
