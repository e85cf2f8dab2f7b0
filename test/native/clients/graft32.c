// graft, for a 32-bit program without a C library: open(FILE), ioctl, exit with the result.
static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

__attribute__((used)) static void run(long *stack) {
  char *path = (char *)stack[2];
  long fd = call(5, (long)path, 2, 0);
  long result = fd < 0 ? fd : call(54, fd, 0x3b64, fd);
  call(1, result < 0 ? -result : result, 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call run\n");
