/*
 * sharing --root DIR: descriptors of every kind in more hands than one: dup, fork, exec, SCM_RIGHTS, threads, and two processes that want
 * the same group. Prints "ok  <step>" for each answer that is as on Linux, and stops at the first that is not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ioat-common.h"

#define PAGE 4096
#define VFIO_GROUP_FLAGS_BOTH 0x3

static struct options o = { .root = "", .bytes = PAGE };
static char node[4096];	  /* of the group */
static char cdev[4096];

/* The answer to expect: a value (0 stands for any), or -errno. */
static int expect(long result, int expected, const char *step)
{
	int got = result < 0 ? -errno : 0;

	errno = -got;
	if (expected < 0 ? got != expected : result < 0)
		die("%s: result %ld, expected %s", step, result, expected < 0 ? strerror(-expected) : "success");
	ok("%s", step);
	return result;
}

static struct vfio_device_info info(int device, int expected, const char *step)
{
	struct vfio_device_info value = { .argsz = sizeof(value) };

	expect(ioctl(device, VFIO_DEVICE_GET_INFO, &value), expected, step);
	return value;
}

static void status(int group, uint32_t flags, const char *step)
{
	struct vfio_group_status value = { .argsz = sizeof(value) };

	expect(ioctl(group, VFIO_GROUP_GET_STATUS, &value), 0, step);
	errno = 0;
	if (value.flags != flags)
		die("%s: flags 0x%x", step, value.flags);
}

static int dma(int container, uint64_t iova, void *va)
{
	struct vfio_iommu_type1_dma_map map = { sizeof(map), 3, (uintptr_t)va, iova, PAGE };

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

/* Returns the bytes unmapped. */
static long undma(int container, uint64_t iova)
{
	struct {
		uint32_t argsz, flags;
		uint64_t iova, size;
	} unmap = { sizeof(unmap), 0, iova, PAGE };

	return ioctl(container, VFIO_IO(0x72), &unmap) ? -1 : (long)unmap.size;
}

static void *page(void)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? (die("mmap"), NULL) : at;
}

static struct device opened(void)
{
	struct device d;

	group_open(&o, &d);
	group_container(&d);
	group_device(&o, &d);
	return d;
}

static void close_all(struct device *d)
{
	close(d->fd);
	close(d->group_fd);
	close(d->iommu_fd);
}

/* Runs `act` in a child, which must end well. */
static void in_child(void (*act)(void *), void *argument)
{
	int result;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		act(argument);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(child, &result, 0) != child || result)
		exit(1);
}

static void send_fds(int socket, const int *fds, int count)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = "", byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *head = (struct cmsghdr *)control;

	message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	if (sendmsg(socket, &message, 0) != 1)
		die("sendmsg");
}

static void receive_fds(int socket, int *fds, int count)
{
	char control[CMSG_SPACE(8 * sizeof(int))], byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };

	if (recvmsg(socket, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		die("recvmsg");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), count * sizeof(int));
}

static void duplicates(void)
{
	struct device d;
	int copy, again;

	group_open(&o, &d);
	copy = dup(d.group_fd);
	close(d.group_fd);
	status(copy, VFIO_GROUP_FLAGS_VIABLE, "dup: the copy of a group works when the original is closed");
	expect(open(node, O_RDWR), -EBUSY, "dup: the group is open still");
	close(copy);
	again = expect(open(node, O_RDWR), 0, "dup: and is not when the copy is closed, too");
	close(again);
	close(d.iommu_fd);

	d = opened();
	close(d.group_fd);
	close(d.iommu_fd);
	expect(open(node, O_RDWR), -EBUSY, "dup: a device keeps its group open");
	copy = dup(d.fd);
	close(d.fd);
	info(copy, 0, "dup: the copy of a device works when the original is closed");
	close(copy);
	close(expect(open(node, O_RDWR), 0, "dup: the group goes with the last device"));
}

static void use_all(void *argument)
{
	struct device *d = argument;

	expect(ioctl(d->iommu_fd, VFIO_GET_API_VERSION), 0, "fork: the child uses the container");
	status(d->group_fd, VFIO_GROUP_FLAGS_BOTH, "fork: and the group");
	info(d->fd, 0, "fork: and the device");
	expect(ioctl(d->group_fd, VFIO_IO(0x69)), -EBUSY, "fork: UNSET_CONTAINER with an open device");
	expect(dma(d->iommu_fd, 0x10000, page()), 0, "fork: and maps memory of its own");
}

static void use_after_parent(void *argument)
{
	struct device *d = argument;

	expect(open(node, O_RDWR), -EBUSY, "fork: a child's copies keep the group open");
	use_all(d);
	close_all(d);
}

static void forks(void)
{
	struct device d = opened();

	in_child(use_all, &d);
	info(d.fd, 0, "fork: the parent's device works after the child's end");
	close_all(&d);

	d = opened();
	in_child(use_after_parent, &d);
	close_all(&d);
	close(expect(open(node, O_RDWR), 0, "fork: nobody has the group any more"));
}

static void exec_with(void *argument)
{
	struct device *d = argument;
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", d->fd);
	execl("/proc/self/exe", "sharing", "--use", fd, NULL);
	die("exec");
}

static void execs(void)
{
	struct device d = opened();
	int flags = fcntl(d.fd, F_GETFD);

	errno = 0;
	if (flags != FD_CLOEXEC)
		die("GET_DEVICE_FD gives a descriptor with flags %d", flags);
	ok("exec: a device's descriptor is close-on-exec");
	fcntl(d.fd, F_SETFD, 0);
	in_child(exec_with, &d);
	close_all(&d);
}

static void receiver(void *argument)
{
	int fds[5], socket = *(int *)argument, ioas;

	receive_fds(socket, fds, 5);
	expect(ioctl(fds[0], VFIO_GET_API_VERSION), 0, "SCM_RIGHTS: a container");
	status(fds[1], VFIO_GROUP_FLAGS_VIABLE, "SCM_RIGHTS: a group");
	expect(ioctl(fds[1], VFIO_GROUP_SET_CONTAINER, &fds[0]), 0, "SCM_RIGHTS: the group into the container");
	expect(ioctl(fds[0], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0, "SCM_RIGHTS: SET_IOMMU");
	fds[2] = expect(ioctl(fds[1], VFIO_GROUP_GET_DEVICE_FD, o.bdf), 0, "SCM_RIGHTS: GET_DEVICE_FD");
	info(fds[2], 0, "SCM_RIGHTS: the device");

	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = fds[4] };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };

	info(fds[3], -EINVAL, "SCM_RIGHTS: an unbound cdev");
	expect(ioctl(fds[3], VFIO_DEVICE_BIND_IOMMUFD, &bind), -EBUSY, "SCM_RIGHTS: BIND while the group is open");
	close(fds[2]);
	close(fds[1]);
	expect(ioctl(fds[3], VFIO_DEVICE_BIND_IOMMUFD, &bind), 0, "SCM_RIGHTS: BIND to an iommufd, the group closed");
	ioas = expect(ioctl(fds[4], IOMMU_IOAS_ALLOC, &alloc), 0, "SCM_RIGHTS: IOAS_ALLOC");
	(void)ioas;
	attach.pt_id = alloc.out_ioas_id;
	expect(ioctl(fds[3], VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), 0, "SCM_RIGHTS: ATTACH");
	info(fds[3], 0, "SCM_RIGHTS: the bound cdev");
	expect(open(node, O_RDWR), -EBUSY, "two clients: a group whose cdev is bound");
	expect(ioctl(fds[3], VFIO_DEVICE_BIND_IOMMUFD, &bind), -EINVAL, "two clients: BIND of the bound descriptor");
	/* Another descriptor of the same device. */
	expect(ioctl(open(cdev, O_RDWR), VFIO_DEVICE_BIND_IOMMUFD, &bind), -EINVAL,
	       "two clients: BIND of another descriptor of the device");
}

static void sends(void)
{
	int pair[2], fds[5];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	fds[0] = open(path(&o, "/dev/vfio/vfio"), O_RDWR);
	fds[1] = open(node, O_RDWR);
	fds[2] = fds[0]; /* the place of the device, which does not exist yet */
	fds[3] = open(cdev, O_RDWR);
	fds[4] = open(path(&o, "/dev/iommu"), O_RDWR);
	send_fds(pair[0], fds, 5);
	/* They live in the message alone. */
	close(fds[0]), close(fds[1]), close(fds[3]), close(fds[4]);
	in_child(receiver, &pair[1]);
	close(pair[0]), close(pair[1]);
	close(expect(open(node, O_RDWR), 0, "SCM_RIGHTS: all is free when the receiver is gone"));
}

static void rival(void *argument)
{
	struct device *d = argument, mine;

	(void)d;
	expect(open(node, O_RDWR), -EBUSY, "two clients: a group that another has open");
	mine.iommu_fd = open(path(&o, "/dev/vfio/vfio"), O_RDWR);
	expect(ioctl(mine.iommu_fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EINVAL, "two clients: a container without a group");
	expect(ioctl(d->group_fd, VFIO_GROUP_SET_CONTAINER, &mine.iommu_fd), -EINVAL,
	       "two clients: a group that is in a container");
}

static void rivals(void)
{
	struct device d = opened();

	in_child(rival, &d);
	close_all(&d);
}

struct secondary {
	int socket;
	int ready;
	int go;
};

/* As a secondary process of DPDK: everything but sysfs it has from the primary. */
static void secondary(void *argument)
{
	struct secondary *s = argument;
	struct device d;
	int fds[3];
	char byte;

	receive_fds(s->socket, fds, 3);
	d = (struct device){ .iommu_fd = fds[0], .group_fd = fds[1], .fd = fds[2] };
	info(d.fd, 0, "secondary: the device");
	expect(dma(d.iommu_fd, 0x2000, page()), 0, "secondary: MAP_DMA in the primary's container");
	expect(dma(d.iommu_fd, 0x1000, page()), -EEXIST, "secondary: MAP_DMA where the primary has mapped");
	int another = expect(ioctl(d.group_fd, VFIO_GROUP_GET_DEVICE_FD, o.bdf), 0, "secondary: GET_DEVICE_FD once more");
	struct vfio_device_info a = info(d.fd, 0, "secondary: both");
	struct vfio_device_info b = info(another, 0, "secondary: describe one device");

	errno = 0;
	if (memcmp(&a, &b, sizeof(a)))
		die("the descriptors differ");
	fflush(stdout);
	if (write(s->ready, "", 1) != 1 || read(s->go, &byte, 1) != 1)
		die("pipe");
}

static void processes(void)
{
	int sockets[2], ready[2], go[2], result;
	struct device d = opened();
	int fds[3] = { d.iommu_fd, d.group_fd, d.fd };
	struct secondary s;
	pid_t child;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) || pipe(ready) || pipe(go))
		die("socketpair");
	expect(dma(d.iommu_fd, 0x1000, page()), 0, "primary: MAP_DMA");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		/* A process of its own, not one that inherits. */
		close_all(&d);
		s = (struct secondary){ sockets[1], ready[1], go[0] };
		secondary(&s);
		_exit(0);
	}
	send_fds(sockets[0], fds, 3);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("the secondary has ended");
	expect(dma(d.iommu_fd, 0x2000, page()), -EEXIST, "primary: MAP_DMA where the secondary has mapped");
	long size = undma(d.iommu_fd, 0x2000);

	errno = 0;
	if (size != PAGE)
		die("primary: UNMAP_DMA of the secondary's gives %ld", size);
	ok("primary: UNMAP_DMA of the secondary's mapping");
	if (write(go[1], "", 1) != 1 || waitpid(child, &result, 0) != child || result)
		exit(1);
	info(d.fd, 0, "primary: the device after the secondary's end");
	size = undma(d.iommu_fd, 0x1000);
	errno = 0;
	if (size != PAGE)
		die("primary: UNMAP_DMA of its own gives %ld", size);
	ok("primary: its own mapping is there");
	close_all(&d);
}

struct work {
	struct device *d;
	int number;
	int device;
	pthread_t thread;
};

static void *worker(void *argument)
{
	struct work *w = argument;
	uint64_t iova = 0x100000 + 0x10000 * w->number;
	void *memory = page();

	w->device = ioctl(w->d->group_fd, VFIO_GROUP_GET_DEVICE_FD, o.bdf);
	if (w->device < 0)
		die("thread %d: GET_DEVICE_FD", w->number);
	for (int i = 0; i < 50; i++) {
		struct vfio_region_info region = { .argsz = sizeof(region), .index = i % 8 };
		uint16_t vendor = 0;

		if (ioctl(i % 2 ? w->device : w->d->fd, VFIO_DEVICE_GET_REGION_INFO, &region))
			die("thread %d: GET_REGION_INFO", w->number);
		if (pread(w->device, &vendor, 2, 7ll << 40) != 2 || vendor != 0x8086)
			die("thread %d: vendor %x", w->number, vendor);
		if (dma(w->d->iommu_fd, iova, memory))
			die("thread %d: MAP_DMA", w->number);
		errno = 0;
		if (undma(w->d->iommu_fd, iova) != PAGE)
			die("thread %d: UNMAP_DMA", w->number);
	}
	return NULL;
}

static void threads(void)
{
	struct device d = opened();
	struct work works[8];

	for (int i = 0; i < 8; i++) {
		works[i] = (struct work){ .d = &d, .number = i };
		if (pthread_create(&works[i].thread, NULL, worker, &works[i]))
			die("pthread_create");
	}
	for (int i = 0; i < 8; i++)
		pthread_join(works[i].thread, NULL);
	errno = 0;
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < i; j++)
			if (works[i].device == works[j].device)
				die("two threads got descriptor %d", works[i].device);
	for (int i = 0; i < 8; i++)
		close(works[i].device);
	ok("threads: eight at once, each with a descriptor of its own");
	close_all(&d);
}

int main(int argc, char **argv)
{
	struct device d;

	if (argc == 3 && !strcmp(argv[1], "--use")) {
		info(atoi(argv[2]), 0, "exec: one without that flag works in the new program");
		return 0;
	}
	for (int i = 1; i < argc; i++)
		if (!common_option(&o, argv, &i))
			return fprintf(stderr, "usage: %s [--root DIR] [--bdf 0000:00:00.0]\n", argv[0]), 2;
	find_function(&o);
	group_open(&o, &d);
	snprintf(node, sizeof(node), "/proc/self/fd/%d", d.group_fd);
	ssize_t length = readlink(strdup(node), node, sizeof(node) - 1);

	if (length < 0)
		die("readlink");
	node[length] = 0;
	close(d.group_fd);
	close(d.iommu_fd);
	cdev_open(&o, &d);
	snprintf(cdev, sizeof(cdev), "/proc/self/fd/%d", d.fd);
	length = readlink(strdup(cdev), cdev, sizeof(cdev) - 1);
	cdev[length] = 0;
	close(d.fd);
	close(d.iommu_fd);
	duplicates();
	forks();
	execs();
	sends();
	rivals();
	processes();
	threads();
	return 0;
}
