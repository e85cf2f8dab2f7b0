/* A device descriptor the legacy way: container, type 1 IOMMU, group. Prints what failed and exits 1. */
#ifndef VFIO_DEVICE_H
#define VFIO_DEVICE_H

#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static inline int must(int result, const char *what)
{
	if (result >= 0)
		return result;
	perror(what);
	exit(1);
}

static inline int open_in(const char *directory, const char *name)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return must(open(path, O_RDWR), path);
}

/* `directory` is …/dev/vfio; `group` comes back open if `group_fd` is given. */
static inline int open_device(const char *directory, const char *group, const char *bdf, int *group_fd)
{
	int container = open_in(directory, "vfio"), fd = open_in(directory, group);

	must(ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container), "VFIO_GROUP_SET_CONTAINER");
	must(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "VFIO_SET_IOMMU");
	if (group_fd)
		*group_fd = fd;
	return must(ioctl(fd, VFIO_GROUP_GET_DEVICE_FD, bdf), "VFIO_GROUP_GET_DEVICE_FD");
}

#endif
