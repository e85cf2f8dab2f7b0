// lookup FILE: says what open says.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int main(int count, char **arguments) {
  int fd = count == 2 ? open(arguments[1], O_RDWR) : -1;
  printf("%d\n", fd < 0 ? -errno : fd);
  return 0;
}
