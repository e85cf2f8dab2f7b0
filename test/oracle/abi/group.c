/* Groups and containers: who may open, join and leave, and who outlives whom. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"

void scenario_bind(void)
{
	static const char *const all[] = { EDU, TESTDEV, NVME, SWITCHED, CONVENTIONAL, SLOT0, SLOT1 };

	for (unsigned i = 0; i < LENGTH(all); i++)
		bind_vfio(all[i]);
}

static void plain_file_operations(int fd)
{
	char byte = 0;

	say("%s.read", fd_name(fd));
	result(read(fd, &byte, 1));
	say("%s.write", fd_name(fd));
	result(write(fd, &byte, 1));
	say("%s.mmap", fd_name(fd));
	void *address = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	result(address == MAP_FAILED ? -1 : 0);
	say("%s.lseek", fd_name(fd));
	result(lseek(fd, 0, SEEK_SET));
}

void scenario_group(void)
{
	title("open: one at a time");
	int group = open_group(EDU, "group");

	open_group(EDU, "second");
	plain_file_operations(group);
	int copy = dup(group);

	name_fd(copy, "copy");
	shut(group);
	open_group(EDU, "second");
	shut(copy);
	group = open_group(EDU, "group");

	title("GET_STATUS");
	CALL(group, GET_STATUS, 8);
	CALL(group, GET_STATUS, 7);
	CALL(group, GET_STATUS, 0);
	CALL(group, GET_STATUS, 100);
	CALL(group, GET_STATUS, 8, ALL_ONES);
	room(7);
	CALL(group, GET_STATUS, 8);
	room(8);
	CALL(group, GET_STATUS, 8);

	title("SET_CONTAINER and UNSET_CONTAINER");
	int container = open_file("/dev/vfio/vfio", "container"), other = open_file("/dev/vfio/vfio", "other");
	int null = open_file("/dev/null", "null");

	plain_file_operations(container);
	call_value(group, &UNSET_CONTAINER, 0);
	room(3);
	CALL(group, SET_CONTAINER, container);
	CALL(group, SET_CONTAINER, 4000);
	CALL(group, SET_CONTAINER, (uint32_t)-1);
	CALL(group, SET_CONTAINER, null);
	CALL(group, SET_CONTAINER, group);
	CALL(group, SET_CONTAINER, container);
	CALL(group, SET_CONTAINER, container);
	CALL(group, SET_CONTAINER, other);
	CALL(group, SET_CONTAINER, null);
	CALL(group, GET_STATUS, 8);
	call_value(group, &UNSET_CONTAINER, 0);
	call_value(group, &UNSET_CONTAINER, 0);
	CALL(group, GET_STATUS, 8);
	CALL(group, SET_CONTAINER, other);
	call_value(other, &SET_IOMMU, 3);
	int device = device_fd(group, EDU, "device");

	call_value(group, &UNSET_CONTAINER, 0);
	int second = device_fd(group, EDU, "device-again");

	shut(device);
	call_value(group, &UNSET_CONTAINER, 0);
	title("a device outlives its group's descriptor");
	shut(group);
	group = open_group(EDU, "group");
	CALL(second, GET_INFO, 16);
	CALL(other, MAP_DMA, 32, 3, MEM, 0, 0x1000);
	shut(second);
	CALL(other, MAP_DMA, 32, 3, MEM, 0, 0x1000);
	group = open_group(EDU, "group");
	CALL(group, GET_STATUS, 8);
	title("a container lives on in its group");
	CALL(group, SET_CONTAINER, container);
	call_value(container, &SET_IOMMU, 3);
	CALL(container, MAP_DMA, 32, 3, MEM, 0, 0x1000);
	shut(container);
	CALL(group, GET_STATUS, 8);
	device = device_fd(group, EDU, "device");
	shut(group);
	CALL(device, GET_INFO, 16);
	shut(device);

	title("two functions of one group");
	group = open_group(SLOT0, "group");
	open_group(SLOT1, "second");
	CALL(group, GET_STATUS, 8);
	container = open_file("/dev/vfio/vfio", "container");
	CALL(group, SET_CONTAINER, container);
	call_value(container, &SET_IOMMU, 3);
	device = device_fd(group, SLOT0, "slot0");
	second = device_fd(group, SLOT1, "slot1");
	shut(device);
	call_value(group, &UNSET_CONTAINER, 0);
	shut(second);
	call_value(group, &UNSET_CONTAINER, 0);
	shut(group);
}

static void extensions(int container)
{
	for (unsigned id = 0; id <= 12; id++)
		call_value(container, &CHECK_EXTENSION, id);
	call_value(container, &CHECK_EXTENSION, ALL_ONES);
}

void scenario_container(void)
{
	static const uint64_t types[] = { 0, 2, 4, 5, 6, 7, 8, 9, 10, 11, ALL_ONES, 1, 3 };
	int container = open_file("/dev/vfio/vfio", "container");

	title("no group");
	call_value(container, &GET_API_VERSION, 0);
	call_value(container, &GET_API_VERSION, 77);
	extensions(container);
	for (unsigned i = 0; i < LENGTH(types); i++)
		call_value(container, &SET_IOMMU, types[i]);
	title("a group");
	int group = open_group(EDU, "group");

	CALL(group, SET_CONTAINER, container);
	extensions(container);
	for (unsigned i = 0; i < LENGTH(types); i++)
		call_value(container, &SET_IOMMU, types[i]);
	title("type1");
	extensions(container);
	title("type1v2");
	call_value(group, &UNSET_CONTAINER, 0);
	CALL(group, SET_CONTAINER, container);
	call_value(container, &SET_IOMMU, 3);
	extensions(container);
	call_value(container, &SET_IOMMU, 3);

	title("IOMMU_GET_INFO");
	static const unsigned sizes[] = { 0, 15, 16, 20, 23, 24, 25, 32, 56, 72, 88, 104, 119, 120, 121, 136, 4096 };

	for (unsigned i = 0; i < LENGTH(sizes); i++)
		CALL(container, IOMMU_GET_INFO, sizes[i]);
	CALL(container, IOMMU_GET_INFO, 24, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES);
	room(15);
	CALL(container, IOMMU_GET_INFO, 16);
	room(16);
	CALL(container, IOMMU_GET_INFO, 16);
	room(24);
	CALL(container, IOMMU_GET_INFO, 4096);

	title("a second group joins, and leaves");
	int second = open_group(TESTDEV, "second");

	CALL(container, MAP_DMA, 32, 3, MEM, 0x10000, 0x1000);
	CALL(second, SET_CONTAINER, container);
	CALL(second, GET_STATUS, 8);
	extensions(container);
	CALL(container, IOMMU_GET_INFO, 136);
	call_value(group, &UNSET_CONTAINER, 0);
	CALL(container, MAP_DMA, 32, 3, MEM, 0x10000, 0x1000);
	call_value(second, &UNSET_CONTAINER, 0);
	CALL(container, MAP_DMA, 32, 3, MEM, 0x10000, 0x1000);
	extensions(container);
	title("afresh");
	CALL(second, SET_CONTAINER, container);
	CALL(container, MAP_DMA, 32, 3, MEM, 0x10000, 0x1000);
	call_value(container, &SET_IOMMU, 1);
	CALL(container, MAP_DMA, 32, 3, MEM, 0x10000, 0x1000);
	shut(second);
	shut(group);
}

static int try_device(int group, const char *string)
{
	int fd = device_fd(group, string, "device");

	if (fd >= 0)
		shut(fd);
	return fd;
}

void scenario_names(void)
{
	static char long_name[5000];
	int group = open_group(SLOT0, "group"), container = open_file("/dev/vfio/vfio", "container");

	title("before the container is complete");
	try_device(group, SLOT0);
	try_device(group, "nonsense");
	CALL(group, SET_CONTAINER, container);
	try_device(group, SLOT0);
	try_device(group, "nonsense");
	call_value(container, &SET_IOMMU, 3);
	title("names");
	static const char *const strings[] = {
		SLOT0, SLOT1, EDU, "", "nonsense", "08:00.0", "0000:08:00", "0000:08:00.0x", "0000:08:00.0 ", "0000:08:00.0   ",
		" 0000:08:00.0", "0000:08:00.0 vf_token", "0000:08:00.0 vf_token=", "0000:08:00.0 x=1",
		"0000:08:00.0 vf_token=00112233-4455-6677-8899-aabbccddeeff",
		"0000:08:00.0   vf_token=00112233-4455-6677-8899-aabbccddeeff  ",
		"0000:08:00.0 vf_token=00112233-4455-6677-8899-aabbccddeefg",
		"0000:08:00.0 vf_token=00112233-4455-6677-8899-aabbccddeef",
		"0000:08:00.0 vf_token=00112233-4455-6677-8899-aabbccddeeff0",
		"0000:08:00.0 vf_token=00112233-4455-6677-8899-aabbccddeeff x",
		"0000:08:00.0 vf_token=00112233-4455-6677-8899-aabbccddeeff vf_token=00112233-4455-6677-8899-aabbccddeeff",
		"0000:08:00.0vf_token=00112233-4455-6677-8899-aabbccddeeff", "0000:08:00.0\tvf_token=00112233-4455-6677-8899-aabbccddeeff",
	};

	for (unsigned i = 0; i < LENGTH(strings); i++)
		try_device(group, strings[i]);
	memset(long_name, 'x', sizeof(long_name) - 1);
	try_device(group, long_name);
	long_name[4095] = 0;
	try_device(group, long_name);
	call_value(group, &GET_DEVICE_FD, NOWHERE);
	shut(group);
	shut(container);
}
