/*
 * what PATH: everything the kernel says of a file, by every call that says it, a line each. Without a C library, as programs in Go are: nothing
 * preloaded and no wrapper sees these calls. Build: cc -nostdlib -static.
 */
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#define DIRECTORY_ONLY 0x10000 /* O_DIRECTORY of x86-64 */

static long call(long number, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

static void text(const char *what) {
  long length = 0;
  while (what[length]) length++;
  call(__NR_write, 1, (long)what, length, 0, 0);
}

static void number(long value, int base) {
  char digits[24];
  int at = sizeof digits;
  unsigned long rest = value < 0 ? -value : value;
  digits[--at] = 0;
  do digits[--at] = "0123456789abcdef"[rest % base];
  while (rest /= base);
  if (value < 0) digits[--at] = '-';
  text(digits + at);
}

static void line(const char *name, long result, unsigned mode, unsigned long major, unsigned long minor) {
  text(name);
  text(" ");
  number(result, 10);
  if (result == 0) {
    text(" ");
    number(mode, 8);
    text(" ");
    number(major, 10);
    text(":");
    number(minor, 10);
  }
  text("\n");
}

static struct stat found;
static struct statx foundx;
static struct statfs filesystem;

static void plain(const char *name, long result) {
  line(name, result, found.st_mode, found.st_rdev >> 8 & 0xfff, (found.st_rdev & 0xff) | (found.st_rdev >> 12 & 0xfff00));
  for (unsigned i = 0; i < sizeof found; i++) ((char *)&found)[i] = 0;
}

static void extended(const char *name, long result) {
  line(name, result, foundx.stx_mode, foundx.stx_rdev_major, foundx.stx_rdev_minor);
  for (unsigned i = 0; i < sizeof foundx; i++) ((char *)&foundx)[i] = 0;
}

static void type(const char *name, long result) {
  text(name);
  text(" ");
  number(result, 10);
  text(" ");
  number(filesystem.f_type, 16);
  text("\n");
  filesystem.f_type = 0;
}

static const char *below(const char *directory, long fd) {
  static char path[64];
  int at = 0;
  for (; *directory; directory++) path[at++] = *directory;
  if (fd >= 10) path[at++] = '0' + fd / 10;
  path[at++] = '0' + fd % 10;
  path[at] = 0;
  return path;
}

static void look(const char *path) {
  static char parent[256];
  const char *name = path;
  long here = (long)&found;
  for (const char *at = path; *at; at++)
    if (*at == '/') name = at + 1;
  for (int i = 0; path + i < name; i++) parent[i] = path[i];
  long fd = call(__NR_open, (long)path, O_PATH, 0, 0, 0);
  long directory = call(__NR_open, (long)parent, DIRECTORY_ONLY, 0, 0, 0);

  plain("stat", call(__NR_stat, (long)path, here, 0, 0, 0));
  plain("lstat", call(__NR_lstat, (long)path, here, 0, 0, 0));
  plain("fstat", call(__NR_fstat, fd, here, 0, 0, 0));
  plain("fstatat", call(__NR_newfstatat, AT_FDCWD, (long)path, here, 0, 0));
  plain("fstatat directory", call(__NR_newfstatat, directory, (long)name, here, AT_SYMLINK_NOFOLLOW, 0));
  plain("fstatat empty", call(__NR_newfstatat, fd, (long)"", here, AT_EMPTY_PATH, 0));
  plain("stat /proc/self/fd", call(__NR_stat, (long)below("/proc/self/fd/", fd), here, 0, 0, 0));
  plain("stat /dev/fd", call(__NR_stat, (long)below("/dev/fd/", fd), here, 0, 0, 0));
  plain("lstat /proc/thread-self/fd", call(__NR_lstat, (long)below("/proc/thread-self/fd/", fd), here, 0, 0, 0));
  extended("statx", call(__NR_statx, AT_FDCWD, (long)path, 0, STATX_BASIC_STATS, (long)&foundx));
  extended("statx empty", call(__NR_statx, fd, (long)"", AT_EMPTY_PATH, STATX_BASIC_STATS, (long)&foundx));
  extended("statx cached", call(__NR_statx, directory, (long)name, AT_STATX_DONT_SYNC, STATX_TYPE, (long)&foundx));
  call(__NR_fchdir, directory, 0, 0, 0, 0);
  plain("stat relative", call(__NR_stat, (long)name, here, 0, 0, 0));

  plain("empty", call(__NR_stat, (long)"", here, 0, 0, 0));
  plain("bad descriptor", call(__NR_fstat, 999, here, 0, 0, 0));
  plain("bad flags", call(__NR_newfstatat, AT_FDCWD, (long)path, here, 0x40000000, 0));
  plain("bad path", call(__NR_stat, 16, here, 0, 0, 0));
  plain("bad buffer", call(__NR_stat, (long)path, 16, 0, 0, 0));
  plain("read-only buffer", call(__NR_stat, (long)path, (long)"a string of the program, and long enough for a struct stat: "
                                                           "one hundred and forty-four bytes it takes, and this has more of them, "
                                                           "so that nothing behind it is written.", 0, 0, 0));
  plain("not a directory", call(__NR_newfstatat, fd, (long)"x", here, 0, 0));

  type("statfs", call(__NR_statfs, (long)path, (long)&filesystem, 0, 0, 0));
  type("fstatfs", call(__NR_fstatfs, fd, (long)&filesystem, 0, 0, 0));
}

void start(const long *stack) {
  look((const char *)stack[2]);
  call(__NR_exit_group, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
