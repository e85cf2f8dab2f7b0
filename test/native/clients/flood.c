// flood FILE: ioctls without end; says its first result.
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(int count, char **arguments) {
  int fd = count == 2 ? open(arguments[1], O_RDWR) : -1;
  if (fd < 0) return 1;
  printf("%d\n", ioctl(fd, 0x3b01, 0));
  fflush(stdout);
  for (long i = 1;; i++) {
    if (ioctl(fd, 0x3b01, i) < 0) return 2;
  }
}
