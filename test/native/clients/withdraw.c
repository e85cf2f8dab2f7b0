// A page that is there when somebody looks and gone when they read: `fill` puts it there for about a millisecond, and whoever touches it after
// that waits for a userfaultfd that nobody answers. With an argument, a second process has the same memory. Ends by
// SIGALRM after half a minute; the second process says so.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul

static void late(int signal) {
  (void)signal;
  static const char word[] = "late\n";
  _exit(write(1, word, sizeof word - 1) < 0);
}

static int sleeper(void *nothing) {
  (void)nothing;
  signal(SIGALRM, late);
  alarm(30);
  for (;;) pause();
  return 0;
}

int main(int count, char **arguments) {
  (void)arguments;
  void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  struct uffdio_register range = {.range = {(uintptr_t)memory, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)) return 1;
  alarm(30);
  int other = 0;
  // A copy of our descriptors: its userfaultfd keeps those who wait waiting when we are gone.
  if (count > 1) other = clone(sleeper, (char *)malloc(65536) + 65536, CLONE_VM | SIGCHLD, NULL);
  printf("{\"page\":%lu,\"other\":%d}\n", (uintptr_t)memory, other);
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    struct uffdio_zeropage zero = {.range = {(uintptr_t)memory, PAGE}};
    if (ioctl(fd, UFFDIO_ZEROPAGE, &zero)) return 1;
    printf("there\n");
    fflush(stdout);
    usleep(1000 + rand() % 200);
    madvise(memory, PAGE, MADV_DONTNEED);
  }
  return 0;
}
