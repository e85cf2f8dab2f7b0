/* A device by its cdev: BIND, ATTACH, DETACH. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"

void scenario_cdev(void)
{
	int null = open_file("/dev/null", "null"), iommu = open_file("/dev/iommu", "iommu"), other = open_file("/dev/iommu", "other");
	int device = open_cdev(EDU, "cdev"), again = open_cdev(EDU, "again");
	char byte;

	title("before BIND");
	say("cdev.read");
	result(pread(device, &byte, 1, 0));
	say("cdev.write");
	result(pwrite(device, &byte, 1, 0));
	say("cdev.mmap");
	result(mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, 0) == MAP_FAILED ? -1 : 0);
	say("cdev.lseek");
	result(lseek(device, 0, SEEK_SET));
	CALL(device, GET_INFO, 16);
	CALL(device, ATTACH_IOMMUFD_PT, 16);
	CALL(device, DETACH_IOMMUFD_PT, 12);
	call_value(device, &RESET, 0);
	title("BIND: the structure");
	room(3);
	CALL(device, BIND_IOMMUFD, 24, 0, iommu);
	for (unsigned size = 0; size <= 15; size += 5)
		CALL(device, BIND_IOMMUFD, size, 0, iommu);
	static const uint8_t zeros[24], ones[24] = { [20] = 1 };

	tail(ones, 24);
	CALL(device, BIND_IOMMUFD, 48, 0, iommu);
	room(20);
	CALL(device, BIND_IOMMUFD, 24, 0, iommu);
	CALL(device, BIND_IOMMUFD, 24, 2, iommu);
	CALL(device, BIND_IOMMUFD, 24, 0, -1);
	CALL(device, BIND_IOMMUFD, 24, 0, -5);
	CALL(device, BIND_IOMMUFD, 24, 0, 4000);
	CALL(device, BIND_IOMMUFD, 24, 0, null);
	CALL(device, BIND_IOMMUFD, 24, 0, device);
	CALL(device, BIND_IOMMUFD, 24, 1, iommu, 0, MEM);
	CALL(device, BIND_IOMMUFD, 24, 1, iommu, 0, NOWHERE);
	CALL(device, BIND_IOMMUFD, 24, 1, 4000, 0, NOWHERE);
	title("the group is open");
	int group = open_group(EDU, "group");

	CALL(device, BIND_IOMMUFD, 24, 0, iommu);
	shut(group);
	title("BIND");
	tail(zeros, 24);
	CALL(device, BIND_IOMMUFD, 48, 0, iommu);
	CALL(device, BIND_IOMMUFD, 24, 0, iommu);
	CALL(device, BIND_IOMMUFD, 24, 0, other);
	CALL(again, BIND_IOMMUFD, 24, 0, iommu);
	CALL(again, BIND_IOMMUFD, 24, 0, 4000);
	CALL(again, GET_INFO, 16);
	open_group(EDU, "group");
	shut(iommu);
	CALL(device, GET_INFO, 16);
	shut(device);
	CALL(again, BIND_IOMMUFD, 16, 0, other);
	shut(again);
	group = open_group(EDU, "group");
	shut(group);
	title("two of a group");
	int slot0 = open_cdev(SLOT0, "slot0"), slot1 = open_cdev(SLOT1, "slot1");

	iommu = open_file("/dev/iommu", "iommu");
	CALL(slot0, BIND_IOMMUFD, 24, 0, iommu);
	CALL(slot1, BIND_IOMMUFD, 24, 0, other);
	CALL(slot1, BIND_IOMMUFD, 24, 0, iommu);
	open_group(SLOT0, "group");
	shut(slot0);
	open_group(SLOT0, "group");
	shut(slot1);
	shut(open_group(SLOT0, "group"));
	title("a device of a container");
	struct opened o = open_by_group(EDU, 3);

	CALL(o.device, BIND_IOMMUFD, 24, 0, iommu);
	CALL(o.device, BIND_IOMMUFD, 15, 0, -1);
	CALL(o.device, ATTACH_IOMMUFD_PT, 16, 0, 1);
	CALL(o.device, DETACH_IOMMUFD_PT, 12);
	device = open_cdev(EDU, "cdev");
	CALL(device, BIND_IOMMUFD, 24, 0, iommu);
	close_opened(o);
	CALL(device, BIND_IOMMUFD, 24, 0, iommu);
	shut(device);
	shut(iommu);
	shut(other);
}

static uint32_t ioas(int iommu)
{
	CALL(iommu, IOAS_ALLOC, 12);
	return field("out_ioas_id");
}

void scenario_attach(void)
{
	struct bound b = open_by_cdev(SLOT0);
	int device = b.device, iommu = b.iommu;
	uint32_t first = ioas(iommu), second = ioas(iommu);

	title("the structures");
	room(11);
	CALL(device, ATTACH_IOMMUFD_PT, 12, 0, first);
	CALL(device, ATTACH_IOMMUFD_PT, 11, 0, first);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 2, first);
	CALL(device, ATTACH_IOMMUFD_PT, 12, 1, first, 1);
	room(12);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 1, first);
	room(7);
	CALL(device, DETACH_IOMMUFD_PT, 8);
	CALL(device, DETACH_IOMMUFD_PT, 7);
	CALL(device, DETACH_IOMMUFD_PT, 12, 2);
	CALL(device, DETACH_IOMMUFD_PT, 8, 1);
	CALL(device, DETACH_IOMMUFD_PT, 8);
	CALL(device, DETACH_IOMMUFD_PT, 12);
	title("PASIDs");
	static const uint64_t pasids[] = { 0, 1, 100, 0xfffff, 0x100000, 0x7fffffff, 0x80000000, 0xffffffff };

	for (unsigned i = 0; i < LENGTH(pasids); i++) {
		CALL(device, ATTACH_IOMMUFD_PT, 16, 1, first, pasids[i]);
		CALL(device, ATTACH_IOMMUFD_PT, 16, 1, 99, pasids[i]);
		CALL(device, DETACH_IOMMUFD_PT, 12, 1, pasids[i]);
	}
	title("ids");
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, 0);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, 99);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, b.devid);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, ALL_ONES);
	title("attach, again, replace");
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, first);
	uint32_t hwpt = field("pt_id");

	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, first);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, hwpt);
	CALL(iommu, DESTROY, 8, hwpt);
	CALL(iommu, DESTROY, 8, first);
	CALL(device, ATTACH_IOMMUFD_PT, 12, 0, second);
	CALL(iommu, DESTROY, 8, first);
	CALL(iommu, DESTROY, 8, hwpt);
	CALL(device, DETACH_IOMMUFD_PT, 8);
	CALL(device, DETACH_IOMMUFD_PT, 8);
	title("the other function of the group");
	int slot1 = open_cdev(SLOT1, "slot1");

	CALL(slot1, BIND_IOMMUFD, 24, 0, iommu);
	first = ioas(iommu);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, first);
	CALL(slot1, ATTACH_IOMMUFD_PT, 16, 0, second);
	CALL(slot1, ATTACH_IOMMUFD_PT, 16, 0, first);
	CALL(slot1, ATTACH_IOMMUFD_PT, 16, 0, second);
	CALL(device, DETACH_IOMMUFD_PT, 8);
	CALL(iommu, DESTROY, 8, first);
	CALL(slot1, DETACH_IOMMUFD_PT, 8);
	shut(slot1);
	title("reserved ranges and what is mapped");
	uint32_t third = ioas(iommu);

	CALL(iommu, IOAS_MAP, 40, 7, third, 0, MEM, 0x1000, 0xfee00000);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, third);
	CALL(iommu, IOAS_UNMAP, 24, third, 0, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, 7, third, 0, NOWHERE, 0x1000, 0x10000);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, third);
	CALL(iommu, IOAS_UNMAP, 24, third, 0, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, 7, third, 0, MEM + 1, 0x800, 0x10001);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, third);
	CALL(iommu, IOAS_UNMAP, 24, third, 0, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, 7, third, 0, MEM, 0x1000, 1ull << 60);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, third);
	CALL(iommu, IOAS_UNMAP, 24, third, 0, ALL_ONES);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, third);
	shut(device);
	CALL(iommu, DESTROY, 8, third);
	CALL(iommu, DESTROY, 8, b.devid);
	shut(iommu);
}
