// A process whose memory tests look into: prints where everything is, as JSON, then obeys lines on stdin.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define SIZE (4 * PAGE)

static void *area(int protection, int flags, int fd) {
  void *memory = mmap(NULL, SIZE, protection, flags, fd, 0);
  if (memory == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  return memory;
}

// Memory whose first touch waits for somebody who never answers.
static void *faulting(void) {
  void *memory = area(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  struct uffdio_register range = {.range = {(uintptr_t)memory, SIZE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)) return NULL;
  return memory;
}

static void *sleeper(void *tid) {
  *(volatile int *)tid = gettid();
  pause();
  return NULL;
}

int main(int count, char **arguments) {
  (void)count;
  unsigned char *private = area(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  for (unsigned i = 0; i < SIZE; i++) private[i] = (unsigned char)(i * 7);
  void *untouched = area(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  unsigned char *readonly = area(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memset(readonly, 0x52, SIZE);
  mprotect(readonly, SIZE, PROT_READ);
  // A hole in the middle.
  unsigned char *holed = area(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memset(holed, 0x48, SIZE);
  munmap(holed + PAGE, PAGE);
  int memfd = memfd_create("client-memory", MFD_CLOEXEC);
  if (ftruncate(memfd, SIZE)) return 1;
  unsigned char *shared = area(PROT_READ | PROT_WRITE, MAP_SHARED, memfd);
  memset(shared, 0x53, SIZE);
  // The same file in three mappings.
  unsigned char *split = area(PROT_READ | PROT_WRITE, MAP_SHARED, memfd);
  madvise(split + PAGE, PAGE, MADV_DONTFORK);
  unsigned char *anonymous = area(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
  memset(anonymous, 0x41, SIZE);
  // Shared, then private, in one range.
  unsigned char *mixed = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(mixed, 0x4d, 2 * SIZE);
  mmap(mixed, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, 0);
  int self = open(arguments[0], O_RDONLY | O_CLOEXEC);
  volatile unsigned char *file = area(PROT_READ | PROT_WRITE, MAP_PRIVATE, self);
  (void)file[0];
  int event = eventfd(0, EFD_CLOEXEC);
  int full = eventfd(0, EFD_CLOEXEC);
  uint64_t most = UINT64_MAX - 1;
  if (write(full, &most, sizeof most) != sizeof most) return 1;
  pthread_t thread;
  volatile int tid = 0;
  pthread_create(&thread, NULL, sleeper, (void *)&tid);
  while (!tid) usleep(100);
  void *fault = faulting();
  void *huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (huge == MAP_FAILED) huge = NULL;
  printf("{\"tid\":%d,\"private\":%lu,\"untouched\":%lu,\"readonly\":%lu,\"holed\":%lu,\"shared\":%lu,\"split\":%lu,"
         "\"anonymous\":%lu,\"mixed\":%lu,\"file\":%lu,\"fault\":%lu,\"huge\":%lu,\"event\":%d,\"full\":%d}\n",
         tid, (uintptr_t)private, (uintptr_t)untouched, (uintptr_t)readonly, (uintptr_t)holed, (uintptr_t)shared,
         (uintptr_t)split, (uintptr_t)anonymous, (uintptr_t)mixed, (uintptr_t)file, (uintptr_t)fault,
         (uintptr_t)huge, event, full);
  fflush(stdout);
  char line[512], path[256];
  while (fgets(line, sizeof line, stdin)) {
    unsigned long address;
    uint64_t value;
    if (sscanf(line, "peek %lu", &address) == 1) {
      printf("%d\n", *(unsigned char *)address);
    } else if (!strcmp(line, "truncate\n")) {
      printf("%d\n", ftruncate(memfd, 0));
    } else if (sscanf(line, "unmap %lu", &address) == 1) {
      printf("%d\n", munmap((void *)address, SIZE));
    } else if (!strcmp(line, "wait\n")) {
      printf("%zd\n", read(event, &value, sizeof value) == sizeof value ? (ssize_t)value : -1);
    } else if (!strcmp(line, "large\n")) {
      size_t length = 4 << 20;
      unsigned char *large = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      for (size_t i = 0; i < length; i++) large[i] = (unsigned char)(i % 251);
      printf("{\"address\":%lu,\"length\":%zu}\n", (uintptr_t)large, length);
    } else if (sscanf(line, "map %255s", path) == 1) {
      printf("%lu\n", (uintptr_t)area(PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR | O_CLOEXEC)));
    } else if (!strcmp(line, "exec\n")) {
      execv(arguments[0], arguments);
    }
    fflush(stdout);
  }
  return 0;
}
