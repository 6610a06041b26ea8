// One call that makes a whole file system durable, where it can be trusted.
#define _GNU_SOURCE
#include "CWeir.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
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
