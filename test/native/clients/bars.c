// bars: opens and maps what it is told, one command a line, one answer each: a number, `ok`, or the name of an errno. Files and mappings
// are called by letters.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../clients/uapi.h"

static int files[256];
static struct {
  unsigned char *at;
  size_t length;
} maps[256];
static sigjmp_buf landing;

static void bus(int number) {
  (void)number;
  siglongjmp(landing, 1);
}

static void say(long long result) {
  if (result < 0)
    printf("%s\n", strerrorname_np(errno));
  else
    printf("%lld\n", result);
  fflush(stdout);
}

// /dev/vfio/devices/vfio<N> bound to an iommufd of its own.
static int bind_device(const char *device, const char *iommu) {
  int iommufd = open(iommu, O_RDWR);
  int fd = open(device, O_RDWR);
  struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = iommufd};
  if (fd < 0 || ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0) return -1;
  close(iommufd);
  return fd;
}

static struct vfio_region_info region(int fd, unsigned index) {
  struct vfio_region_info info = {.argsz = sizeof info, .index = index};
  if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) perror("VFIO_DEVICE_GET_REGION_INFO");
  return info;
}

static long long map(char name, char file, unsigned long long offset, size_t length, const char *how) {
  int protection = strchr(how, 'w') ? PROT_READ | PROT_WRITE : PROT_READ;
  void *at = mmap(NULL, length, protection, strchr(how, 'p') ? MAP_PRIVATE : MAP_SHARED, files[(int)file], (off_t)offset);
  if (at == MAP_FAILED) return -1;
  maps[(int)name].at = at;
  maps[(int)name].length = length;
  return 0;
}

int main(void) {
  static char line[4096], path[2048], other[2048], how[16];
  char a, b;
  unsigned long long x, y;
  signal(SIGBUS, bus);
  while (fgets(line, sizeof line, stdin)) {
    if (sigsetjmp(landing, 1)) {
      puts("SIGBUS");
      fflush(stdout);
    } else if (sscanf(line, "open %c %2047s %15s", &a, path, how) == 3) {
      say(files[(int)a] = open(path, strcmp(how, "r") == 0 ? O_RDONLY : O_RDWR));
    } else if (sscanf(line, "bind %c %2047s %2047s", &a, path, other) == 3) {
      say(files[(int)a] = bind_device(path, other));
    } else if (sscanf(line, "close %c", &a) == 1) {
      say(close(files[(int)a]));
    } else if (sscanf(line, "flags %c %llu", &a, &x) == 2) {
      say(region(files[(int)a], (unsigned)x).flags);
    } else if (sscanf(line, "size %c %llu", &a, &x) == 2) {
      say((long long)region(files[(int)a], (unsigned)x).size);
    } else if (sscanf(line, "region %c %c %llu", &a, &b, &x) == 3) {
      struct vfio_region_info info = region(files[(int)b], (unsigned)x);
      say(map(a, b, info.offset, info.size, "rw"));
    } else if (sscanf(line, "map %c %c %llu %llu %15s", &a, &b, &x, &y, how) == 5) {
      say(map(a, b, x, (size_t)y, how));
    } else if (sscanf(line, "unmap %c", &a) == 1) {
      say(munmap(maps[(int)a].at, maps[(int)a].length));
    } else if (sscanf(line, "load %c %llu", &a, &x) == 2) {
      say(*(volatile uint32_t *)(maps[(int)a].at + x));
    } else if (sscanf(line, "store %c %llu %llu", &a, &x, &y) == 3) {
      *(volatile uint32_t *)(maps[(int)a].at + x) = (uint32_t)y;
      say(0);
    } else if (sscanf(line, "pread %c %llu %llu", &a, &x, &y) == 3) {
      uint32_t value = 0;
      say(pread(files[(int)a], &value, 4, (off_t)(region(files[(int)a], (unsigned)x).offset + y)) == 4 ? (long long)value : -1);
    } else if (sscanf(line, "reach %c", &a) == 1) {
      say(pread(files[(int)a], path, 4, 0));
    } else {
      printf("what? %s", line);
      fflush(stdout);
    }
  }
  return 0;
}
