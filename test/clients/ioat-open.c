/* The two ways to a device descriptor with an address space behind it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ioat-common.h"

void cdev_open(const struct options *o, struct device *d)
{
	const char *directory = path(o, "/sys/bus/%s/devices/%s/vfio-dev", o->bus ? o->bus : "pci", o->bdf);
	char name[32] = "";
	DIR *entries = opendir(directory);

	if (!entries)
		die("opendir %s", directory);
	for (struct dirent *entry; (entry = readdir(entries));)
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(name, sizeof(name), "%.31s", entry->d_name);
	closedir(entries);
	errno = 0;
	if (!name[0])
		die("no vfio<X> in %s", directory);
	const char *node = path(o, "/dev/vfio/devices/%s", name);

	d->group_fd = -1;
	d->fd = open(node, O_RDWR | O_CLOEXEC);
	if (d->fd < 0)
		die("open %s", node);
	d->iommu_fd = open(path(o, "/dev/iommu"), O_RDWR | O_CLOEXEC);
	if (d->iommu_fd < 0)
		die("open %s", path(o, "/dev/iommu"));
	ok("open %s", node);
}

void cdev_bind(struct device *d)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = d->iommu_fd };

	if (ioctl(d->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		die("VFIO_DEVICE_BIND_IOMMUFD");
	ok("bind device id %u", bind.out_devid);
}

void cdev_attach(struct device *d)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(d->iommu_fd, IOMMU_IOAS_ALLOC, &alloc))
		die("IOMMU_IOAS_ALLOC");
	d->ioas = alloc.out_ioas_id;
	ok("ioas id %u", d->ioas);

	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = d->ioas };

	if (ioctl(d->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		die("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	ok("attach hwpt id %u", attach.pt_id);
}

void group_open(const struct options *o, struct device *d)
{
	char target[4096];
	const char *link = path(o, "/sys/bus/%s/devices/%s/iommu_group", o->bus ? o->bus : "pci", o->bdf);
	ssize_t length = readlink(link, target, sizeof(target) - 1);

	if (length < 0)
		die("readlink %s", link);
	target[length] = 0;
	const char *number = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	const char *node = path(o, "/dev/vfio/%s", number);
	struct vfio_group_status status = { .argsz = sizeof(status) };

	d->group_fd = open(node, O_RDWR | O_CLOEXEC);
	if (d->group_fd < 0)
		die("open %s", node);
	if (ioctl(d->group_fd, VFIO_GROUP_GET_STATUS, &status))
		die("VFIO_GROUP_GET_STATUS");
	errno = 0;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		die("group %s is not viable", number);
	d->iommu_fd = open(path(o, "/dev/vfio/vfio"), O_RDWR | O_CLOEXEC);
	if (d->iommu_fd < 0)
		die("open %s", path(o, "/dev/vfio/vfio"));
	ok("open %s", node);
}

void group_container(struct device *d)
{
	int version = ioctl(d->iommu_fd, VFIO_GET_API_VERSION);

	if (version != 0)
		die("VFIO_GET_API_VERSION gives %d", version);
	if (ioctl(d->iommu_fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1)
		die("VFIO_CHECK_EXTENSION(TYPE1v2)");
	if (ioctl(d->group_fd, VFIO_GROUP_SET_CONTAINER, &d->iommu_fd))
		die("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(d->iommu_fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("VFIO_SET_IOMMU");
	ok("container type1v2");
}

void group_device(const struct options *o, struct device *d)
{
	d->fd = ioctl(d->group_fd, VFIO_GROUP_GET_DEVICE_FD, o->bdf);
	if (d->fd < 0)
		die("VFIO_GROUP_GET_DEVICE_FD %s", o->bdf);
	ok("device fd %d", d->fd);
}
