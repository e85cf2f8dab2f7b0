// lookup FILE [wait]: says what open says, of a file opened when it is sent a line.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int main(int count, char **arguments) {
  if (count == 3) {
    puts("waiting");
    fflush(stdout);
    getchar();
  }
  int fd = count >= 2 ? open(arguments[1], O_RDWR) : -1;
  printf("%d\n", fd < 0 ? -errno : fd);
  return 0;
}
