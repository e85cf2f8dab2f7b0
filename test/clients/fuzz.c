/*
 * fuzz --root DIR [--seed N] [--steps N] [--seconds N] [--processes N]: a hostile client. Opens, ioctls, reads, writes, maps, duplicates
 * and closes at random, with arguments from right to absurd: half of the ioctls are well formed, or nearly so, which brings it to where a
 * driver gets. It judges nothing but its own survival: the daemon must live, answer everything, and hold nothing of us afterwards. The
 * same seed makes the same steps.
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
#include <time.h>
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

static unsigned char *put32(unsigned char *at, uint32_t value)
{
	memcpy(at, &value, 4);
	return at + 4;
}

static unsigned char *put64(unsigned char *at, uint64_t value)
{
	memcpy(at, &value, 8);
	return at + 8;
}

static uint64_t page(void)
{
	return below(16) * PAGE;
}

/* A well-formed argument at `at`; returns the number it is for. Where the argument is a value, *value is it. */
static uint32_t well_formed(unsigned char *at, uint64_t *value)
{
	unsigned char *end;
	uint32_t n = below(5);

	switch (below(20)) {
	case 0: /* VFIO_IOMMU_MAP_DMA */
		end = put32(put32(at, 32), 1 + below(3));
		put64(put64(put64(end, (uintptr_t)memory), page()), PAGE);
		return 0x3b71;
	case 1: /* VFIO_IOMMU_UNMAP_DMA */
		put64(put64(put32(put32(at, 24), below(4) ? 0 : 2), below(2) ? page() : 0), below(2) ? PAGE : 0);
		return 0x3b72;
	case 2: /* VFIO_DEVICE_SET_IRQS */
		end = put32(put32(put32(at, 20 + 4 * n), 1u << below(3) | 8u << below(3)), below(5));
		end = put32(put32(end, below(3)), n);
		for (uint32_t i = 0; i < n; i++)
			end = put32(end, fds[below(FDS)]);
		return 0x3b6e;
	case 3: /* VFIO_DEVICE_GET_REGION_INFO */
		put32(put32(put32(at, 32 + 8 * n), 0), below(10));
		return 0x3b6c;
	case 4: /* VFIO_DEVICE_GET_IRQ_INFO */
		put32(put32(put32(at, 16), 0), below(5));
		return 0x3b6d;
	case 5: /* VFIO_DEVICE_GET_INFO */
		put32(at, 16 + 8 * n);
		return 0x3b6b;
	case 6: /* VFIO_DEVICE_FEATURE */
		end = put32(put32(at, 8 + 8 * n), below(13) | 0x10000u << below(3));
		put32(end, fds[below(FDS)]);
		return 0x3b75;
	case 7: /* VFIO_DEVICE_IOEVENTFD */
		end = put64(put64(put32(put32(at, 32), 1u << below(4)), (uint64_t)below(3) << 40 | below(128)), n);
		put32(end, below(3) ? fds[below(FDS)] : -1);
		return 0x3b74;
	case 8: /* VFIO_DEVICE_BIND_IOMMUFD */
		put64(put32(put32(put32(put32(at, 24), 0), fds[below(FDS)]), 0), 0);
		return 0x3b76;
	case 9: /* VFIO_DEVICE_ATTACH_IOMMUFD_PT, DETACH */
		put32(put32(put32(put32(at, 16), 0), 1 + n), 0);
		return 0x3b77 + below(2);
	case 10: /* IOMMU_IOAS_ALLOC */
		put32(put32(put32(at, 12), 0), 0);
		return 0x3b81;
	case 11: /* IOMMU_IOAS_MAP */
		end = put32(put32(put32(put32(at, 40), 7), 1 + n), 0);
		put64(put64(put64(end, (uintptr_t)memory), PAGE), page());
		return 0x3b85;
	case 12: /* IOMMU_IOAS_UNMAP */
		put64(put64(put32(put32(at, 24), 1 + n), page()), PAGE);
		return 0x3b86;
	case 13: /* VFIO_GROUP_GET_STATUS, VFIO_DEVICE_RESET, VFIO_GROUP_UNSET_CONTAINER */
		put32(at, 8);
		return n < 2 ? 0x3b67 : n < 4 ? 0x3b6f : 0x3b69;
	case 14: /* VFIO_GROUP_SET_CONTAINER */
		put32(at, fds[below(FDS)]);
		return 0x3b68;
	case 15:
	case 16: /* VFIO_GROUP_GET_DEVICE_FD */
		strcpy((char *)at, "0000:00:04.0");
		return 0x3b6a;
	case 17: /* VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, HOT_RESET */
		put32(put32(put32(put32(at, 12 + 8 * n), 0), below(3)), fds[below(FDS)]);
		return 0x3b70 + below(2);
	case 18: /* VFIO_IOMMU_DIRTY_PAGES */
		put32(put32(at, 8 + 40), 1u << below(3));
		return 0x3b75;
	default: /* VFIO_SET_IOMMU */
		*value = 1 + below(3);
		return 0x3b66;
	}
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
		uint64_t value = (uintptr_t)(below(6) ? (void *)at : pointer());
		uint32_t number = 0x3b64 + below(0x32);
		int result;

		if (below(2)) {
			memset(at, 0, 128);
			number = well_formed(at, &value);
			for (uint32_t wrong = below(3) ? 0 : 1 + below(3); wrong > 0; wrong--)
				at[below(48)] ^= 1u << below(8);
		} else {
			fill(at);
		}
		result = ioctl(fd, number, value);
		count(result);
		/* Some results are descriptors: keep what is one. */
		if (result > 2 && fcntl(result, F_GETFD) >= 0)
			keep(dup(result)), close(result);
		break;
	}
	}
}

static int client(const char *where, uint64_t seed, long steps, long seconds)
{
	time_t end = time(NULL) + seconds;
	int root = open(where, O_PATH | O_DIRECTORY);

	if (root < 0)
		return perror(where), 1;
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	for (int i = 0; i < FDS; i++)
		fds[i] = -1;
	memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory + PAGE, PAGE, PROT_READ) || munmap(memory + 2 * PAGE, 2 * PAGE))
		return perror("memory"), 1;
	for (long i = 0; i < steps && (i % 64 || time(NULL) < end); i++)
		step(root);
	printf("seed %llu: %ld answered, %ld refused\n", (unsigned long long)seed, answered, refused);
	return answered && refused ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	long seed = 1, steps = 10000, seconds = 3600, processes = 2;
	int failed = 0, status;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--root"))
			root = argv[i + 1];
		else if (!strcmp(argv[i], "--seed"))
			seed = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--steps"))
			steps = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--processes"))
			processes = atol(argv[i + 1]);
	}
	if (!root)
		return fprintf(stderr, "fuzz --root DIR [--seed N] [--steps N] [--seconds N] [--processes N]\n"), 2;
	fflush(stdout);
	for (long i = 0; i < processes; i++)
		if (fork() == 0)
			exit(client(root, seed + i, steps, seconds));
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status);
	return failed;
}
