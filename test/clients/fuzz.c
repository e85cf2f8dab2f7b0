/*
 * fuzz --root DIR [--seed N] [--steps N] [--processes N]: a hostile client. Opens, ioctls, reads, writes, maps, duplicates and closes at
 * random, with arguments from sensible to absurd. It judges nothing but its own survival: the daemon must live, answer everything, and
 * hold nothing of us afterwards. The same seed makes the same steps.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS 24
#define PAGE 4096

static const char *const names[] = {
	"dev/vfio/vfio", "dev/vfio/vfio", "dev/iommu", "dev/iommu", "dev/vfio/0", "dev/vfio/1", "dev/vfio/2",
	"dev/vfio/devices/vfio0", "dev/vfio/devices/vfio0", "dev/vfio/devices/vfio1",
	"sys/bus/pci/devices/0000:00:04.0/config", "sys/bus/pci/devices/0000:00:04.0/resource0",
	"sys/bus/pci/devices/0000:00:04.0/vendor", "sys/bus/pci/devices/0000:00:04.0/driver_override",
	"sys/kernel/iommu_groups/1/type",
};

static uint64_t state;
static int fds[FDS];
static unsigned char *memory; /* three pages: writable, read-only, then nothing */
static long answered, refused;

static uint32_t random32(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

static uint32_t below(uint32_t limit)
{
	return random32() % limit;
}

/* Numbers that structs are full of: sizes, flags, ids, descriptors, addresses, and the edges of all of them. */
static uint64_t interesting(void)
{
	switch (below(12)) {
	case 0: return 0;
	case 1: return below(9);
	case 2: return 1ull << below(64);
	case 3: return (1ull << below(64)) - 1;
	case 4: return ~0ull - below(PAGE);
	case 5: return fds[below(FDS)];
	case 6: return (uint64_t)(uintptr_t)memory + below(4) * PAGE;
	case 7: return (uint64_t)below(256) * PAGE;
	case 8: return below(64);
	case 9: return (uint64_t)below(9) << 40 | below(16384);
	case 10: return random32();
	default: return (uint64_t)random32() << 32 | random32();
	}
}

static void *pointer(void)
{
	switch (below(10)) {
	case 0: return NULL;
	case 1: return (void *)(uintptr_t)interesting();
	case 2: return memory + PAGE + below(PAGE); /* read-only */
	case 3: return memory + 2 * PAGE - below(64); /* runs into nothing */
	default: return memory + below(PAGE - 256);
	}
}

static void fill(unsigned char *at)
{
	static const uint32_t sizes[] = { 8, 12, 16, 20, 24, 24, 28, 32, 32, 36, 40, 40, 48, 64, 100 };
	uint32_t size = sizes[below(sizeof sizes / sizeof *sizes)];

	memcpy(at, &size, 4);
	for (unsigned i = 4; i < 128; i += 4) {
		uint64_t value = interesting();
		unsigned width = below(2) && i % 8 == 0 ? 8 : 4;

		memcpy(at + i, &value, width);
		i += width - 4;
	}
	if (below(8) == 0)
		strcpy((char *)at, "0000:00:04.0");
}

static void count(long result)
{
	if (result < 0)
		refused++;
	else
		answered++;
}

static void keep(int fd)
{
	int *slot = &fds[below(FDS)];

	count(fd);
	if (fd < 0)
		return;
	if (*slot > 2)
		close(*slot);
	*slot = fd;
}

static void step(int root)
{
	int fd = fds[below(FDS)];
	unsigned char *at = memory + below(PAGE - 256);
	size_t length = (size_t)PAGE << below(3);
	void *map;

	switch (below(16)) {
	case 0:
	case 1:
		keep(openat(root, names[below(sizeof names / sizeof *names)], below(4) ? O_RDWR : O_RDONLY));
		break;
	case 2:
		keep(below(2) ? dup(fd) : eventfd(0, EFD_NONBLOCK));
		break;
	case 3:
		count(pread(fd, memory + below(PAGE), below(2) ? below(16) : below(PAGE), interesting()));
		break;
	case 4:
		count(pwrite(fd, memory + below(PAGE), below(2) ? below(16) : below(PAGE), interesting() & 0xffffffffffull));
		break;
	case 5:
		map = mmap(NULL, length, PROT_READ | PROT_WRITE, below(4) ? MAP_SHARED : MAP_PRIVATE, fd,
			   interesting() & ~0xfffull);
		count(map == MAP_FAILED ? -1 : 0);
		if (map != MAP_FAILED)
			munmap(map, length);
		break;
	case 6:
		count(ioctl(fd, random32(), pointer()));
		break;
	case 7: /* a number of ours with a value, not a pointer */
		count(ioctl(fd, 0x3b64 + below(0x32), interesting()));
		break;
	default: {
		int result;

		fill(at);
		result = ioctl(fd, 0x3b64 + below(0x32), below(6) ? at : pointer());
		count(result);
		/* Some results are descriptors: keep what is one. */
		if (result > 2 && fcntl(result, F_GETFD) >= 0)
			keep(dup(result)), close(result);
		break;
	}
	}
}

static int client(const char *where, uint64_t seed, long steps)
{
	int root = open(where, O_PATH | O_DIRECTORY);

	if (root < 0)
		return perror(where), 1;
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	for (int i = 0; i < FDS; i++)
		fds[i] = -1;
	memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory + PAGE, PAGE, PROT_READ) || munmap(memory + 2 * PAGE, 2 * PAGE))
		return perror("memory"), 1;
	for (long i = 0; i < steps; i++)
		step(root);
	printf("seed %llu: %ld answered, %ld refused\n", (unsigned long long)seed, answered, refused);
	return answered && refused ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	long seed = 1, steps = 10000, processes = 2;
	int failed = 0, status;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--root"))
			root = argv[i + 1];
		else if (!strcmp(argv[i], "--seed"))
			seed = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--steps"))
			steps = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--processes"))
			processes = atol(argv[i + 1]);
	}
	if (!root)
		return fprintf(stderr, "fuzz --root DIR [--seed N] [--steps N] [--processes N]\n"), 2;
	fflush(stdout);
	for (long i = 0; i < processes; i++)
		if (fork() == 0)
			exit(client(root, seed + i, steps));
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status);
	return failed;
}
