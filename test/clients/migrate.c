/*
 * Moves an I/OAT engine from one pretend host to another in the middle of its work, as a virtual machine monitor would: copies ahead
 * while it runs, stops it, copies the rest, loads it over there and lets it go on. Both hosts' devices reach the same memory, which
 * stands for the guest's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ioat-common.h"

#define RING_IOVA 0x10000000ull
#define BUFFER_IOVA 0x100000000ull
#define DESCRIPTORS 64
#define CHUNK 4096
#define TIMEOUT_MS 10000

struct descriptor {
	uint32_t size;
	uint32_t control;
	uint64_t source;
	uint64_t destination;
	uint64_t next;
	uint64_t rest[4];
};

struct guest {
	struct descriptor *ring; /* then a page for the status */
	uint8_t *buffer;
};

/* One host's engine, opened. */
struct host {
	struct options o;
	struct device d;
	uint8_t *bar;
	int irq;
};

#define REGISTER(h, type, offset) (*(volatile type *)((h)->bar + (offset)))
#define INTRCTRL 0x03
#define CHANCTRL 0x80
#define DMACOUNT 0x86
#define CHAINADDR 0x90
#define CHANCMP 0x98

/* An address that the compiler knows nothing of. */
static void *volatile nowhere = (void *)8;

static void expect(bool holds, const char *what)
{
	if (holds)
		return;
	errno = 0;
	die("%s", what);
}

/* `call` must have failed with `number`. */
static void expect_errno(long result, int number, const char *call)
{
	if (result >= 0)
		errno = 0;
	if (result >= 0 || errno != number)
		die("%s: wanted errno %d", call, number);
}

static void open_host(struct host *h, bool cdev, const struct guest *g)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX };

	find_function(&h->o);
	if (cdev) {
		cdev_open(&h->o, &h->d);
		cdev_bind(&h->d);
		cdev_attach(&h->d);
	} else {
		group_open(&h->o, &h->d);
		group_container(&h->d);
		group_device(&h->o, &h->d);
	}
	bus_master(&h->d);
	if (ioctl(h->d.fd, VFIO_DEVICE_GET_REGION_INFO, &region))
		die("VFIO_DEVICE_GET_REGION_INFO");
	h->bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, h->d.fd, region.offset);
	if (h->bar == MAP_FAILED)
		die("mmap BAR0");
	map_dma(&h->d, g->ring, RING_IOVA, 2 * CHUNK);
	map_dma(&h->d, g->buffer, BUFFER_IOVA, 2 * DESCRIPTORS * CHUNK);
	h->irq = irq_eventfd(&h->d);
}

/* MIG_DEVICE_STATE SET; returns data_fd. */
static int set_state(const struct host *h, uint32_t state)
{
	struct feature_mig_state f = { .argsz = sizeof(f),
				       .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
				       .device_state = state,
				       .data_fd = 12345 };

	if (ioctl(h->d.fd, VFIO_DEVICE_FEATURE, &f))
		die("MIG_DEVICE_STATE to %u", state);
	expect(f.device_state == state, "device_state is not what was asked for");
	return f.data_fd;
}

static uint32_t get_state(const struct host *h)
{
	struct feature_mig_state f = { .argsz = sizeof(f),
				       .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE };

	if (ioctl(h->d.fd, VFIO_DEVICE_FEATURE, &f))
		die("MIG_DEVICE_STATE GET");
	expect(f.data_fd == -1, "GET gives a data_fd");
	return f.device_state;
}

static struct vfio_precopy_info precopy_info(int fd)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };

	if (ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info))
		die("VFIO_MIG_GET_PRECOPY_INFO");
	return info;
}

static int open_descriptors(void)
{
	DIR *entries = opendir("/proc/self/fd");
	int count = 0;

	if (!entries)
		die("opendir /proc/self/fd");
	while (readdir(entries))
		count++;
	closedir(entries);
	return count;
}

static short events(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	if (poll(&wait, 1, 0) < 0)
		die("poll");
	return wait.revents;
}

/* A process that sleeps in poll() until there is something to read, and ends with 0 then. */
static pid_t poll_in_child(int fd)
{
	int looked[2];
	char byte;

	if (pipe(looked))
		die("pipe");
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		bool nothing = poll(&wait, 1, 0) == 0;

		close(looked[1]);
		_exit(nothing && poll(&wait, 1, TIMEOUT_MS) == 1 && (wait.revents & POLLIN) ? 0 : 1);
	}
	/* Not before it has seen that there is nothing. */
	close(looked[1]);
	if (read(looked[0], &byte, 1))
		die("read of the pipe");
	close(looked[0]);
	return child;
}

/* From one data_fd to the other, in odd pieces, until there is no more: 0 at the end, or the errno that says so. */
static int pump(int from, int to, size_t *total)
{
	static char bytes[300001];
	size_t sizes[] = { 1, 17, 4096, sizeof(bytes) };

	for (unsigned turn = 0;; turn++) {
		ssize_t got = read(from, bytes, sizes[turn % 4]);

		if (got <= 0)
			return got ? errno : 0;
		for (ssize_t sent = 0; sent < got;) {
			ssize_t step = write(to, bytes + sent, got - sent);

			if (step <= 0)
				die("write to the data_fd");
			sent += step;
		}
		*total += got;
	}
}

static void check_reader(int fd)
{
	char byte;

	expect((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY, "the data_fd is not for reading only");
	expect(fcntl(fd, F_GETFD) & FD_CLOEXEC, "the data_fd has no FD_CLOEXEC");
	expect_errno(pread(fd, &byte, 1, 1), ESPIPE, "pread");
	expect_errno(write(fd, "x", 1), EBADF, "write to what reads");
	expect_errno(ioctl(fd, VFIO_DEVICE_RESET), ENOTTY, "another ioctl");
	expect_errno(read(fd, nowhere, 1), EFAULT, "read to nowhere");
	expect((events(fd) & (POLLIN | POLLRDHUP)) == POLLIN, "poll of what has data");
	ok("data_fd %d reads", fd);
}

static void check_writer(int fd)
{
	char byte = 0;

	expect((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY, "the data_fd is not for writing only");
	expect_errno(pwrite(fd, &byte, 1, 1), ESPIPE, "pwrite");
	expect_errno(read(fd, &byte, 1), EBADF, "read from what writes");
	expect_errno(write(fd, nowhere, 1), EFAULT, "write from nowhere");
	ok("data_fd %d writes", fd);
}

/* A full table: EMFILE, though the state has changed. A struct that can't be written: EFAULT, and no descriptor stays behind. */
static void check_failures(const struct host *h)
{
	struct rlimit old, none = { 0 };
	struct feature_mig_state f = { .argsz = sizeof(f),
				       .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
				       .device_state = VFIO_DEVICE_STATE_STOP_COPY,
				       .data_fd = 12345 };

	getrlimit(RLIMIT_NOFILE, &old);
	none.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	int result = ioctl(h->d.fd, VFIO_DEVICE_FEATURE, &f), number = errno;

	setrlimit(RLIMIT_NOFILE, &old);
	errno = number;
	expect_errno(result, EMFILE, "a data_fd without room for it");
	expect(f.data_fd == 12345, "the struct was written without a descriptor");
	expect(get_state(h) == VFIO_DEVICE_STATE_STOP_COPY, "the state has not changed");
	set_state(h, VFIO_DEVICE_STATE_RUNNING);

	int before = open_descriptors();
	struct feature_mig_state *page = memory(&h->o, 4096);

	*page = f;
	if (mprotect(page, 4096, PROT_READ))
		die("mprotect");
	expect_errno(ioctl(h->d.fd, VFIO_DEVICE_FEATURE, page), EFAULT, "a struct that can't be written");
	expect(open_descriptors() == before, "a descriptor stayed behind");
	expect(get_state(h) == VFIO_DEVICE_STATE_STOP_COPY, "the state has not changed");
	set_state(h, VFIO_DEVICE_STATE_RUNNING);
	ok("EMFILE and EFAULT");
}

static void build(const struct guest *g)
{
	for (int i = 0; i < DESCRIPTORS; i++)
		g->ring[i] = (struct descriptor){
			.size = CHUNK,
			.control = 0x08 | (i == DESCRIPTORS - 1),
			.source = BUFFER_IOVA + i * CHUNK,
			.destination = BUFFER_IOVA + (DESCRIPTORS + i) * CHUNK,
			.next = RING_IOVA + (i + 1) % DESCRIPTORS * sizeof(struct descriptor),
		};
	for (int i = 0; i < DESCRIPTORS * CHUNK; i++)
		g->buffer[i] = i * 7 + i / CHUNK + 1;
}

static void start(const struct host *h)
{
	REGISTER(h, uint8_t, INTRCTRL) = 0x09;
	REGISTER(h, uint16_t, CHANCTRL) = 0x1c;
	REGISTER(h, uint64_t, CHANCMP) = RING_IOVA + CHUNK;
	REGISTER(h, uint64_t, CHAINADDR) = RING_IOVA;
	__sync_synchronize();
}

static void await_descriptor(const struct guest *g, int index)
{
	const volatile uint64_t *status = (void *)((uint8_t *)g->ring + CHUNK);
	struct timespec pause = { .tv_nsec = 1000000 };

	for (int waited = 0; (*status & ~0x3full) != RING_IOVA + index * sizeof(struct descriptor); waited++) {
		if (waited > TIMEOUT_MS)
			die("descriptor %d is not done: status 0x%llx", index, (unsigned long long)*status);
		nanosleep(&pause, NULL);
	}
}

static bool copied(const struct guest *g, int descriptors)
{
	return !memcmp(g->buffer, g->buffer + DESCRIPTORS * CHUNK, descriptors * CHUNK);
}

/* DMA_LOGGING around the first half of the ring: exactly what it wrote. */
static void logging_start(const struct host *h)
{
	struct dma_logging_range range = { .iova = BUFFER_IOVA, .length = 2 * DESCRIPTORS * CHUNK };
	struct feature_dma_logging_control control = {
		.argsz = sizeof(control),
		.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
		.page_size = CHUNK,
		.num_ranges = 1,
		.ranges = (uintptr_t)&range,
	};

	if (ioctl(h->d.fd, VFIO_DEVICE_FEATURE, &control))
		die("DMA_LOGGING_START");
	expect(control.page_size == CHUNK, "another page size is tracked");
}

static void logging_check(const struct host *h)
{
	uint64_t bitmap[2 * DESCRIPTORS / 64] = { 0 };
	struct feature_dma_logging_report report = {
		.argsz = sizeof(report),
		.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
		.iova = BUFFER_IOVA,
		.length = 2 * DESCRIPTORS * CHUNK,
		.page_size = CHUNK,
		.bitmap = (uintptr_t)bitmap,
	};

	if (ioctl(h->d.fd, VFIO_DEVICE_FEATURE, &report))
		die("DMA_LOGGING_REPORT");
	expect(bitmap[0] == 0 && bitmap[1] == 0xffffffff, "the bitmap is not what the device wrote");
	ok("dirty pages");
}

static void migrate(struct host *from, struct host *to, const struct guest *g)
{
	struct feature_migration f = { .argsz = sizeof(f),
				       .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION };
	size_t ahead = 0, rest = 0;

	if (ioctl(from->d.fd, VFIO_DEVICE_FEATURE, &f))
		die("MIGRATION");
	expect(f.migration_flags == 7, "not STOP_COPY, P2P and PRE_COPY");
	check_failures(from);
	start(from);
	logging_start(from);

	int saving = set_state(from, VFIO_DEVICE_STATE_PRE_COPY);
	int loading = set_state(to, VFIO_DEVICE_STATE_RESUMING);

	check_reader(saving);
	check_writer(loading);
	fcntl(saving, F_SETFL, O_NONBLOCK);
	struct vfio_precopy_info info = precopy_info(saving);

	expect(info.initial_bytes > 0 && info.dirty_bytes == 0, "initial bytes first");
	expect(pump(saving, loading, &ahead) == ENOMSG, "copying ahead does not end with ENOMSG");
	expect(ahead == info.initial_bytes, "initial_bytes is not what was read");
	expect(!(events(saving) & POLLIN), "poll of what has nothing");
	ok("ahead %zu bytes", ahead);

	pid_t waiter = poll_in_child(saving);

	REGISTER(from, uint16_t, DMACOUNT) = DESCRIPTORS / 2;
	await_descriptor(g, DESCRIPTORS / 2 - 1);
	logging_check(from);
	info = precopy_info(saving);
	expect(info.initial_bytes == 0 && info.dirty_bytes > 0, "registers have changed, and nothing is dirty");
	expect(events(saving) & POLLIN, "poll of what is dirty");
	int status;

	expect(waitpid(waiter, &status, 0) == waiter && status == 0, "who polled was not woken");
	expect(pump(saving, loading, &rest) == ENOMSG, "dirty bytes do not end with ENOMSG");
	expect(rest == info.dirty_bytes, "dirty_bytes is not what was read");

	/* The doorbell for the second half, rung once the device may not start anything any more. */
	expect(set_state(from, VFIO_DEVICE_STATE_PRE_COPY_P2P) == -1, "a second data_fd");
	REGISTER(from, uint16_t, DMACOUNT) = DESCRIPTORS;
	usleep(20000);
	expect(!copied(g, DESCRIPTORS / 2 + 1), "a device that may not initiate DMA did");
	expect(set_state(from, VFIO_DEVICE_STATE_STOP_COPY) == -1, "a second data_fd");
	expect(pump(saving, loading, &rest) == 0, "stop-and-copy does not end");
	expect_errno(ioctl(saving, VFIO_MIG_GET_PRECOPY_INFO, &info), EINVAL, "precopy_info after it");
	ok("rest %zu bytes", rest);

	expect(set_state(to, VFIO_DEVICE_STATE_RUNNING) == -1, "a data_fd for RUNNING");
	struct pollfd wait = { .fd = to->irq, .events = POLLIN };

	expect(poll(&wait, 1, TIMEOUT_MS) == 1, "no interrupt on the other host");
	expect(copied(g, DESCRIPTORS), "the copy is not complete");
	expect_errno(write(loading, "x", 1), ENODEV, "write to a session that is over");
	wait.fd = from->irq;
	expect(poll(&wait, 1, 0) == 0, "an interrupt on the host it has left");
	set_state(from, VFIO_DEVICE_STATE_STOP);
	char byte;

	expect_errno(read(saving, &byte, 1), ENODEV, "read from a session that is over");
	expect(events(saving) & POLLRDHUP, "poll of a session that is over");
	close(saving);
	close(loading);
	ok("went on over there");
}

/* What was saved of one engine is no state of a device that has had a part of it only. */
static void refuse_half(struct host *from, struct host *to)
{
	char bytes[100];
	int saving = set_state(from, VFIO_DEVICE_STATE_STOP_COPY), loading = set_state(to, VFIO_DEVICE_STATE_RESUMING);
	struct feature_mig_state f = { .argsz = sizeof(f),
				       .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
				       .device_state = VFIO_DEVICE_STATE_STOP };

	if (read(saving, bytes, sizeof(bytes)) != sizeof(bytes) || write(loading, bytes, sizeof(bytes)) != sizeof(bytes))
		die("a hundred bytes");
	expect_errno(ioctl(to->d.fd, VFIO_DEVICE_FEATURE, &f), EINVAL, "half a state");
	expect(f.data_fd == -1 && get_state(to) == VFIO_DEVICE_STATE_RESUMING, "RESUMING was left");
	if (ioctl(to->d.fd, VFIO_DEVICE_RESET))
		die("VFIO_DEVICE_RESET");
	expect(get_state(to) == VFIO_DEVICE_STATE_RUNNING, "a reset does not lead to RUNNING");
	expect_errno(write(loading, bytes, 1), ENODEV, "write after the reset");
	close(saving);
	close(loading);
	ok("half a state is refused");
}

int main(int argc, char **argv)
{
	struct host from = { .o = { .root = "" } }, to = { .o = { .root = "" } };
	bool cdev = false, bad = argc < 2;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--cdev"))
			cdev = true;
		else if (!strcmp(argv[i], "--from") && i + 1 < argc)
			from.o.root = argv[++i];
		else if (!strcmp(argv[i], "--to") && i + 1 < argc)
			to.o.root = argv[++i];
		else
			bad = true;
	}
	if (bad) {
		fprintf(stderr, "usage: %s --from DIR --to DIR [--cdev]\n", argv[0]);
		return 2;
	}
	struct guest g = { .ring = memory(&from.o, 2 * CHUNK), .buffer = memory(&from.o, 2 * DESCRIPTORS * CHUNK) };

	build(&g);
	open_host(&from, cdev, &g);
	open_host(&to, cdev, &g);
	migrate(&from, &to, &g);
	refuse_half(&from, &to);
	return 0;
}
