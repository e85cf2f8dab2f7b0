/* Files by name, eventfds, and binding by sysfs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "abi.h"
#include "shapes.h"

#define FDS 4096
static char *names[FDS];

void name_fd(int fd, const char *name)
{
	if (fd < 0 || fd >= FDS)
		return;
	free(names[fd]);
	names[fd] = name ? strdup(name) : NULL;
}

const char *fd_name(int fd)
{
	static char buffers[8][16];
	static unsigned turn;

	if (fd >= 0 && fd < FDS && names[fd])
		return names[fd];
	/* A number that came out of the kernel: which one it is depends on what else is open. */
	char *buffer = buffers[turn++ % 8];

	if (fd >= 3 && fd < 1000 && fcntl(fd, F_GETFD) >= 0)
		return "new-fd";
	snprintf(buffer, sizeof(buffers[0]), "%d", fd);
	return buffer;
}

static int opened(int fd, const char *what, const char *name)
{
	int error = errno;

	say("open( %s ) = %s\n", what, fd < 0 ? strerrorname_np(error) : name);
	if (fd >= 0)
		name_fd(fd, name);
	return fd;
}

int open_file(const char *path, const char *name)
{
	return opened(open(path, O_RDWR | O_CLOEXEC), path, name);
}

unsigned group_number(const char *bdf)
{
	char path[256], target[256] = "";

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return 9999;
	return strtoul(strrchr(target, '/') + 1, NULL, 10);
}

int open_group(const char *bdf, const char *name)
{
	char path[256], what[64];

	snprintf(what, sizeof(what), "group of %s", bdf);
	snprintf(path, sizeof(path), "/dev/vfio/%u", group_number(bdf));
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		snprintf(path, sizeof(path), "/dev/vfio/noiommu-%u", group_number(bdf));
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	return opened(fd, what, name);
}

int open_cdev(const char *bdf, const char *name)
{
	char path[512], what[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	DIR *directory = opendir(path);

	path[0] = 0;
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(path, sizeof(path), "/dev/vfio/devices/%.255s", entry->d_name);
	if (directory)
		closedir(directory);
	snprintf(what, sizeof(what), "cdev of %s", bdf);
	return opened(open(path, O_RDWR | O_CLOEXEC), what, name);
}

int shut(int fd)
{
	say("close( %s )", fd_name(fd));
	int returned = close(fd);

	result(returned);
	name_fd(fd, NULL);
	return returned;
}

int event(const char *name)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	name_fd(fd, name);
	return fd;
}

void count(int fd)
{
	uint64_t value = 0;
	long length = read(fd, &value, sizeof(value));

	if (length < 0)
		say("  %s: %s\n", fd_name(fd), errno == EAGAIN ? "not signalled" : strerrorname_np(errno));
	else
		say("  %s: %llu\n", fd_name(fd), (unsigned long long)value);
}

static long put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long written = fd < 0 ? -1 : write(fd, text, strlen(text));
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return written;
}

void set_sysfs(const char *path, const char *text)
{
	long written = put(path, text);

	say("write( %s, %.*s )", path, (int)strcspn(text, "\n"), text);
	result(written);
}

void bind_vfio(const char *bdf)
{
	char path[256], target[256] = "";

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	put(path, "vfio-pci\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	if (readlink(path, target, sizeof(target) - 1) >= 0 && strcmp(strrchr(target, '/'), "/vfio-pci")) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
		put(path, bdf);
	}
	put("/sys/bus/pci/drivers_probe", bdf);
	memset(target, 0, sizeof(target));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	say("%s is held by %s\n", bdf, readlink(path, target, sizeof(target) - 1) < 0 ? "nobody" : strrchr(target, '/') + 1);
}
