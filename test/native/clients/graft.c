// graft FILE MODE: asks for a descriptor with an ioctl on FILE, whose argument is the descriptor it goes down, and says what it got.
// Modes: plain; signals (a timer fires all the time); threads (four ask at once); exec (another thread execs meanwhile); traced
// (somebody else traces the asking thread); stack (asks with its stack pointer at the start of a mapping).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK 0x3b64

static int fd;
static volatile unsigned long ticks;

static void tick(int signal) {
  (void)signal;
  ticks++;
}

// Says `result link mask-unchanged`.
static void report(long got) {
  char path[64], link[256];
  snprintf(path, sizeof path, "/proc/self/fd/%ld", got);
  ssize_t length = got < 0 ? -1 : readlink(path, link, sizeof link - 1);
  link[length < 0 ? 0 : length] = 0;
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  int blocked = 0;
  for (int signal = 1; signal < 32; signal++) blocked += sigismember(&mask, signal);
  printf("%ld %s blocked=%d\n", got < 0 ? -(long)errno : got, got < 0 ? "-" : link, blocked);
  fflush(stdout);
}

static void *ask(void *unused) {
  (void)unused;
  volatile char under[1024];  // the path is put below this: it must not be harmed
  memset((void *)under, 0x5a, sizeof under);
  long got = ioctl(fd, ASK, (long)fd);
  int error = errno;
  for (unsigned i = 0; i < sizeof under; i++) {
    if (under[i] != 0x5a) abort();
  }
  errno = error;
  report(got);
  return NULL;
}

// An ioctl with every callee-clobbered register and the red zone known, on a stack with nothing mapped below it.
static void askOnEdge(void) {
  char *stack = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(stack, 4096, PROT_NONE);
  uint64_t *top = (uint64_t *)(stack + 4096 + 64);
  for (int i = -8; i < 8; i++) top[i] = 0x1111111111111111ull * (unsigned)(i + 8);
  register long result __asm__("rax") = SYS_ioctl;
  register long a __asm__("rdi") = fd;
  register long b __asm__("rsi") = ASK;
  register long c __asm__("rdx") = fd;
  register long d __asm__("r10") = 0x77;
  register long saved __asm__("r12");
  register uint64_t *edge __asm__("r13") = top;
  __asm__ volatile("mov %%rsp, %[saved]\n mov %[edge], %%rsp\n syscall\n mov %[saved], %%rsp"
                   : "+r"(result), [saved] "=&r"(saved), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
                   : [edge] "r"(edge)
                   : "rcx", "r11", "memory");
  long got = result, first = a, second = b, third = c, fourth = d;
  if (first != fd || second != ASK || third != fd || fourth != 0x77) abort();
  for (int i = -8; i < 8; i++) {
    if (top[i] != 0x1111111111111111ull * (unsigned)(i + 8)) abort();
  }
  if (got < 0) errno = (int)-got, got = -1;
  report(got);
}

static void *execute(void *arguments) {
  // Until the asking thread is in its ioctl.
  for (;;) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", getpid());
    int status = open(path, O_RDONLY);
    if (status >= 0 && read(status, text, sizeof text - 1) > 0 && atoi(text) == SYS_ioctl) break;
    close(status);
  }
  printf("exec\n");
  fflush(stdout);
  getchar();
  execv("/bin/echo", arguments);
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  fd = open(arguments[1], O_RDWR | O_CLOEXEC);
  if (fd < 0) return 1;
  const char *mode = arguments[2];
  pthread_t threads[4];
  if (!strcmp(mode, "threads")) {
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, ask, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  } else if (!strcmp(mode, "exec")) {
    static char *echo[] = {"echo", "replaced", NULL};
    pthread_create(&threads[0], NULL, execute, echo);
    ask(NULL);
  } else if (!strcmp(mode, "traced")) {
    pid_t child = fork();
    if (child == 0) {
      raise(SIGSTOP);
      ask(NULL);
      return 0;
    }
    waitpid(child, NULL, WUNTRACED);
    if (ptrace(PTRACE_SEIZE, child, 0, 0)) return 3;
    kill(child, SIGCONT);
    int status;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
      int event = status >> 16;
      ptrace(PTRACE_CONT, child, 0, event ? 0 : WSTOPSIG(status));
    }
  } else if (!strcmp(mode, "stack")) {
    askOnEdge();
  } else {
    if (!strcmp(mode, "signals")) {
      struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
      sigaction(SIGALRM, &action, NULL);
      struct itimerval often = {{0, 200}, {0, 200}};
      setitimer(ITIMER_REAL, &often, NULL);
    }
    ask(NULL);
    if (!strcmp(mode, "signals")) {
      unsigned long before = ticks;
      while (ticks == before) {
      }
      printf("ticking\n");
    }
  }
  return 0;
}
