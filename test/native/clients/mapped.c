// mapped FILE: maps its first page, says what is there, and stores 42 into byte 1 for every line it is sent.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

int main(int count, char **arguments) {
  int fd = count == 2 ? open(arguments[1], O_RDWR) : -1;
  unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  printf("%d\n", page[0]);
  fflush(stdout);
  while (getchar() == '\n') {
    page[1] = 42;
    printf("stored\n");
    fflush(stdout);
  }
  return 0;
}
