/*
 * What only a C program can ask of a mounted tree. One request per run, one line per answer:
 *
 *   probe ioctl FILE COMMAND VALUE          "result N VALUE" (VALUE: the u64 argument afterwards) or "errno E"
 *   probe ioctl-integer FILE COMMAND VALUE  the third argument is VALUE itself
 *   probe wait FILE COMMAND                 "waiting", then as ioctl; SIGUSR1 interrupts without a restart
 *   probe poll FILE                         "now EVENTS", then, when that was 0, poll without a timeout: "then EVENTS"
 *   probe map FILE OFFSET VALUE             mmap of one shared page: "read WORD", then stores VALUE: "stored"
 *   probe map-pread FILE OFFSET             "mapped WORD pread WORD": memory and file seen from one descriptor
 *   probe descriptor FILE COMMAND           the result is a descriptor: "fd N text TEXT", TEXT read from it
 *   probe two-descriptors FILE COMMAND      twice, the first still open: "fds N M"
 *   probe descriptor-full FILE COMMAND      with RLIMIT_NOFILE reached: "errno E"
 *   probe as UID GID FILE                   open() as somebody without capabilities: "opened" or "errno E"
 *
 * Exit status 2: the request itself could not be made.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static int answer_errno(void)
{
	printf("errno %s\n", strerrorname_np(errno));
	return 0;
}

static int die(const char *what)
{
	perror(what);
	exit(2);
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags);

	return fd < 0 ? die(path) : fd;
}

static void on_signal(int number)
{
	(void)number;
}

static int do_ioctl(int fd, unsigned long command, const char *value)
{
	uint64_t argument = strtoull(value, NULL, 0);
	int result = ioctl(fd, command, &argument);

	if (result < 0)
		return answer_errno();
	printf("result %d 0x%" PRIx64 "\n", result, argument);
	return 0;
}

static int do_ioctl_raw(int fd, unsigned long command, const char *value)
{
	int result = ioctl(fd, command, strtoull(value, NULL, 0));

	if (result < 0)
		return answer_errno();
	printf("result %d\n", result);
	return 0;
}

static int do_wait(int fd, unsigned long command)
{
	struct sigaction action = { .sa_handler = on_signal };

	if (sigaction(SIGUSR1, &action, NULL))
		die("sigaction");
	printf("waiting\n");
	fflush(stdout);
	return do_ioctl(fd, command, "0");
}

static int do_poll(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLIN };

	if (poll(&wanted, 1, 0) < 0)
		die("poll");
	printf("now %d\n", wanted.revents);
	fflush(stdout);
	if (wanted.revents)
		return 0;
	if (poll(&wanted, 1, -1) < 0)
		die("poll");
	printf("then %d\n", wanted.revents);
	return 0;
}

static int do_map(int fd, const char *offset, const char *value)
{
	volatile uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, strtoll(offset, NULL, 0));

	if (page == MAP_FAILED)
		return answer_errno();
	printf("read 0x%" PRIx32 "\n", page[0]);
	page[1] = strtoul(value, NULL, 0);
	printf("stored\n");
	return 0;
}

static int do_map_pread(int fd, const char *offset)
{
	uint32_t *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, strtoll(offset, NULL, 0));
	uint32_t word;

	if (page == MAP_FAILED)
		return answer_errno();
	if (pread(fd, &word, sizeof word, strtoll(offset, NULL, 0)) != sizeof word)
		return answer_errno();
	printf("mapped 0x%" PRIx32 " pread 0x%" PRIx32 "\n", page[0], word);
	return 0;
}

static int do_descriptor(int fd, unsigned long command)
{
	char text[64];
	int got = ioctl(fd, command, 0);
	ssize_t length;

	if (got < 0)
		return answer_errno();
	length = pread(got, text, sizeof text - 1, 0);
	if (length < 0)
		return answer_errno();
	text[length] = 0;
	printf("fd %d cloexec %d text %s\n", got, !!(fcntl(got, F_GETFD) & FD_CLOEXEC), text);
	return close(got) ? answer_errno() : 0;
}

static int do_two_descriptors(int fd, unsigned long command)
{
	int first = ioctl(fd, command, 0), second = ioctl(fd, command, 0);

	if (first < 0 || second < 0)
		return answer_errno();
	printf("fds %d %d\n", first, second);
	return 0;
}

static int do_descriptor_full(int fd, unsigned long command)
{
	struct rlimit limit = { fd + 1, fd + 1 };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	return do_descriptor(fd, command);
}

static int do_as(char **argv)
{
	if (setgroups(0, NULL) || setgid(atoi(argv[1])) || setuid(atoi(argv[0])))
		die("setuid");
	if (open(argv[2], O_RDONLY) < 0)
		return answer_errno();
	printf("opened\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	unsigned long command = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;

	if (!strcmp(what, "as") && argc == 5)
		return do_as(argv + 2);
	if (!strcmp(what, "ioctl") && argc == 5)
		return do_ioctl(open_or_die(argv[2], O_RDWR), command, argv[4]);
	if (!strcmp(what, "ioctl-integer") && argc == 5)
		return do_ioctl_raw(open_or_die(argv[2], O_RDWR), command, argv[4]);
	if (!strcmp(what, "wait") && argc == 4)
		return do_wait(open_or_die(argv[2], O_RDWR), command);
	if (!strcmp(what, "poll") && argc == 3)
		return do_poll(open_or_die(argv[2], O_RDWR));
	if (!strcmp(what, "map") && argc == 5)
		return do_map(open_or_die(argv[2], O_RDWR), argv[3], argv[4]);
	if (!strcmp(what, "map-pread") && argc == 4)
		return do_map_pread(open_or_die(argv[2], O_RDWR), argv[3]);
	if (!strcmp(what, "descriptor") && argc == 4)
		return do_descriptor(open_or_die(argv[2], O_RDWR), command);
	if (!strcmp(what, "two-descriptors") && argc == 4)
		return do_two_descriptors(open_or_die(argv[2], O_RDWR), command);
	if (!strcmp(what, "descriptor-full") && argc == 4)
		return do_descriptor_full(open_or_die(argv[2], O_RDWR), command);
	fprintf(stderr, "see the head of probe.c\n");
	return 2;
}
