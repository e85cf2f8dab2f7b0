/*
 * How long system calls take that are supervised under `vfiofs run`, and some that are not.
 *
 *   supervised-calls COUNT     prints "NAME P50 P99" in nanoseconds for each; the first tenth of the calls is not counted
 *   supervised-calls           prints CLOCK_MONOTONIC in nanoseconds: when a command began
 *
 * A call that fails ends it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "timing.h"

static const char path[] = "/etc/passwd";
static char link_of_file[32];
static int file;

static long call_stat(void)
{
	struct stat result;

	return stat(path, &result);
}

static long call_fstat(void)
{
	struct stat result;

	return fstat(file, &result);
}

static long call_statx(void)
{
	struct statx result;

	return statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &result);
}

static long call_readlink(void)
{
	char text[64];

	return readlink(link_of_file, text, sizeof text);
}

static long call_pread(void)
{
	char byte;

	return pread(file, &byte, 1, 0);
}

static long call_getppid(void)
{
	return syscall(SYS_getppid);
}

static const struct {
	const char *name;
	long (*call)(void);
} calls[] = {
	{ "stat", call_stat },	       { "fstat", call_fstat }, { "statx", call_statx },
	{ "readlink", call_readlink }, { "pread", call_pread }, { "getppid", call_getppid },
};

static void must(long result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	uint64_t *taken = calloc(count + 1, sizeof *taken);

	if (argc == 1) {
		printf("%" PRIu64 "\n", now_ns());
		return 0;
	}
	if (!taken || count < 100) {
		fprintf(stderr, "usage: supervised-calls [COUNT], COUNT >= 100\n");
		return 2;
	}
	file = open(path, O_RDONLY);
	must(file, path);
	snprintf(link_of_file, sizeof link_of_file, "/proc/self/fd/%d", file);
	for (size_t row = 0; row < sizeof calls / sizeof *calls; row++) {
		for (size_t i = 0; i < count / 10; i++)
			must(calls[row].call(), calls[row].name);
		for (size_t i = 0; i < count; i++) {
			uint64_t start = now_ns();

			must(calls[row].call(), calls[row].name);
			taken[i] = now_ns() - start;
		}
		printf("%s %" PRIu64 " %" PRIu64 "\n", calls[row].name, percentile(taken, count, 50),
		       percentile(taken, count, 99));
	}
	return 0;
}
