/*
 * memory-copy MIB: how fast one thread copies MIB mebibytes between two halves of a shared memfd, the kind of memory the DMA client
 * uses. Prints "bandwidth N GB/s": the median of a few copies, pages touched before.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "timing.h"

enum { COPIES = 7 };

int main(int argc, char **argv)
{
	size_t bytes = argc == 2 ? strtoul(argv[1], NULL, 0) << 20 : 0;
	int fd = memfd_create("copy", 0);
	uint64_t taken[COPIES];
	char *memory;

	if (!bytes || fd < 0 || ftruncate(fd, 2 * bytes)) {
		fprintf(stderr, "usage: memory-copy MIB\n");
		return 2;
	}
	memory = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	memset(memory, 0x5a, 2 * bytes);
	for (int i = 0; i < COPIES; i++) {
		uint64_t start = now_ns();

		memcpy(memory + bytes, memory, bytes);
		taken[i] = now_ns() - start;
	}
	printf("bandwidth %.2f GB/s\n", (double)bytes / percentile(taken, COPIES, 50));
	return memory[2 * bytes - 1] != 0x5a;
}
