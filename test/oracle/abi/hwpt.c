/* HWPTs, hardware information, dirty tracking, and the objects without hardware here. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

static uint32_t ioas(int iommu)
{
	CALL(iommu, IOAS_ALLOC, 12);
	return field("out_ioas_id");
}

static void hw_info(int iommu, uint32_t devid)
{
	static const unsigned lengths[] = { 0, 4, 23, 24, 25, 64 };

	title("GET_HW_INFO");
	for (unsigned i = 0; i < LENGTH(lengths); i++) {
		memset((void *)MEM, 0xcc, 64);
		CALL(iommu, GET_HW_INFO, 40, 0, devid, lengths[i], MEM);
		say("  data");
		for (unsigned k = 0; k < 64; k += 8)
			say(" %016llx", *(unsigned long long *)(MEM + k));
		say("\n");
	}
	CALL(iommu, GET_HW_INFO, 32, 0, devid, 0, 0);
	CALL(iommu, GET_HW_INFO, 31, 0, devid, 0, 0);
	CALL(iommu, GET_HW_INFO, 40, 2, devid, 0, 0);
	for (unsigned type = 0; type < 6; type++) {
		CALL(iommu, GET_HW_INFO, 40, 1, devid, 24, MEM, type);
		CALL(iommu, GET_HW_INFO, 40, 0, devid, 24, MEM, type);
	}
	CALL(iommu, GET_HW_INFO, 40, 0, devid, 0, 0, 0, 0, 1);
	CALL(iommu, GET_HW_INFO, 40, 0, devid, 0, 0, 0, 0, 0, 1);
	CALL(iommu, GET_HW_INFO, 40, 0, 99, 0, 0);
	CALL(iommu, GET_HW_INFO, 40, 0, 2, 0, 0);
	CALL(iommu, GET_HW_INFO, 40, 0, devid, 24, NOWHERE);
}

void scenario_hwpt(void)
{
	struct bound b = open_by_cdev(EDU);
	int iommu = b.iommu;
	uint32_t id = ioas(iommu), hwpt;

	hw_info(iommu, b.devid);
	title("HWPT_ALLOC");
	CALL(iommu, HWPT_ALLOC, 23, 0, b.devid, id);
	CALL(iommu, HWPT_ALLOC, 24, 0, b.devid, id);
	hwpt = field("out_hwpt_id");
	CALL(iommu, DESTROY, 8, hwpt);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id, 0, 1);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id, 0, 0, 0, 8);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id, 0, 0, 1, 0);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id, 0, 0, 1, 24, MEM);
	CALL(iommu, HWPT_ALLOC, 48, 0, 99, id);
	CALL(iommu, HWPT_ALLOC, 48, 0, id, id);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, 99);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, b.devid);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, 0);
	title("flags");
	for (unsigned flags = 0; flags <= 17; flags++) {
		CALL(iommu, HWPT_ALLOC, 48, flags, b.devid, id);
		quiet(1);
		hwpt = field("out_hwpt_id");
		if (hwpt)
			CALL(iommu, DESTROY, 8, hwpt);
		quiet(0);
	}
	CALL(iommu, HWPT_ALLOC, 48, 4, b.devid, id, 0, 0, 0, 0, 0, 99);
	room(24);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id);
	title("nested");
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id);
	hwpt = field("out_hwpt_id");
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, hwpt);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, hwpt, 0, 0, 1, 24, MEM);
	CALL(iommu, HWPT_ALLOC, 48, 1, b.devid, hwpt, 0, 0, 1, 24, MEM);
	CALL(iommu, HWPT_ALLOC, 48, 1, b.devid, id);
	uint32_t parent = field("out_hwpt_id");

	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, parent, 0, 0, 1, 24, MEM);
	title("attach and destroy");
	CALL(b.device, ATTACH_IOMMUFD_PT, 16, 0, hwpt);
	CALL(iommu, DESTROY, 8, hwpt);
	CALL(iommu, DESTROY, 8, id);
	CALL(iommu, DESTROY, 8, b.devid);
	CALL(b.device, ATTACH_IOMMUFD_PT, 16, 0, id);
	CALL(iommu, DESTROY, 8, hwpt);
	title("an address space that does not fit");
	CALL(b.device, DETACH_IOMMUFD_PT, 8);
	uint32_t other = ioas(iommu);

	CALL(iommu, IOAS_MAP, 40, 7, other, 0, MEM, 0x1000, 1ull << 60);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, other);
	CALL(iommu, IOAS_UNMAP, 24, other, 0, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, 7, other, 0, MEM, 0x800, 0x10800);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, other);
	CALL(iommu, IOAS_UNMAP, 24, other, 0, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, 7, other, 0, NOWHERE, 0x1000, 0x10000);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, other);
	CALL(iommu, IOAS_UNMAP, 24, other, 0, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, 7, other, 0, MEM, 0x1000, 0xfee00000);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, other);
	hwpt = field("out_hwpt_id");
	title("dirty tracking");
	CALL(iommu, SET_DIRTY_TRACKING, 16, 1, hwpt);
	CALL(iommu, SET_DIRTY_TRACKING, 16, 0, hwpt);
	CALL(iommu, SET_DIRTY_TRACKING, 16, 2, hwpt);
	CALL(iommu, SET_DIRTY_TRACKING, 16, 1, 99);
	CALL(iommu, SET_DIRTY_TRACKING, 16, 1, other);
	CALL(iommu, SET_DIRTY_TRACKING, 16, 1, hwpt, 1);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0, 0x10000, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 2, 0, 0, 0x10000, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 1, 0, 0x10000, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, 99, 0, 0, 0, 0x10000, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0x1000, 0, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, -0x1000ull, 0x2000, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0x800, 0x1000, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0, 0x1800, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0, 0x10000, 0, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0, 0x10000, 0x20000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0x1000, 0x1000, 0x1800, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0x2000, 0x2000, 0x1800, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0, 0, 0x1000, MEM);
	CALL(iommu, GET_DIRTY_BITMAP, 48, hwpt, 0, 0, 0, 0x10000, 0x3000, MEM);
	title("without an address space between");
	shut(b.device);
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id);
	CALL(iommu, DESTROY, 8, id);
	shut(iommu);
}

void scenario_objects(void)
{
	struct bound b = open_by_cdev(EDU);
	int iommu = b.iommu;

	title("OPTION");
	uint32_t id = ioas(iommu);

	for (unsigned option = 0; option < 3; option++)
		for (unsigned object = !option; object < 4; object++) {
			CALL(iommu, OPTION, 24, option, 1, 0, object);
			CALL(iommu, OPTION, 24, option, 0, 0, object, 2);
			CALL(iommu, OPTION, 24, option, 0, 0, object, 0);
			CALL(iommu, OPTION, 24, option, 1, 0, object);
			CALL(iommu, OPTION, 24, option, 0, 0, object, 1);
		}
	CALL(iommu, OPTION, 24, 0, 1, 1, 0);
	CALL(iommu, OPTION, 24, 1, 1, 1, id);
	CALL(iommu, OPTION, 24, 1, 2, 0, id);
	title("HUGE_PAGES with mappings");
	CALL(iommu, IOAS_MAP, 40, 7, id, 0, MEM, 0x800, 0x10800);
	CALL(iommu, OPTION, 24, 1, 0, 0, id, 0);
	CALL(iommu, IOAS_UNMAP, 24, id, 0, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, 7, id, 0, MEM, 0x1000, 0x10000);
	CALL(iommu, OPTION, 24, 1, 0, 0, id, 0);
	CALL(iommu, OPTION, 24, 1, 0, 0, id, 1);
	CALL(b.device, ATTACH_IOMMUFD_PT, 16, 0, id);
	CALL(iommu, OPTION, 24, 1, 0, 0, id, 0);
	CALL(iommu, OPTION, 24, 1, 0, 0, id, 1);
	CALL(b.device, DETACH_IOMMUFD_PT, 8);
	title("VFIO_IOAS");
	CALL(iommu, VFIO_IOAS, 12, 0, 0);
	CALL(iommu, VFIO_IOAS, 12, 99, 1);
	CALL(iommu, VFIO_IOAS, 12, b.devid, 1);
	CALL(iommu, VFIO_IOAS, 12, id, 1);
	CALL(iommu, VFIO_IOAS, 12, 0, 0);
	CALL(iommu, VFIO_IOAS, 12, 0, 3);
	CALL(iommu, VFIO_IOAS, 12, 0, 0, 1);
	CALL(iommu, VFIO_IOAS, 12, 0, 2);
	CALL(iommu, VFIO_IOAS, 12, 0, 2);
	CALL(iommu, VFIO_IOAS, 12, 0, 0);
	CALL(iommu, VFIO_IOAS, 12, id, 1);
	CALL(iommu, DESTROY, 8, id);
	CALL(iommu, VFIO_IOAS, 12, 0, 0);
	id = ioas(iommu);
	title("virtual IOMMUs");
	CALL(iommu, VIOMMU_ALLOC, 40, 1, 1, b.devid, id);
	for (unsigned type = 0; type < 4; type++) {
		CALL(iommu, VIOMMU_ALLOC, 40, 0, type, b.devid, id);
		CALL(iommu, VIOMMU_ALLOC, 40, 0, type, 99, id);
	}
	CALL(iommu, VDEVICE_ALLOC, 24, 99, b.devid);
	CALL(iommu, VDEVICE_ALLOC, 24, id, b.devid);
	for (unsigned type = 0; type < 4; type++) {
		CALL(iommu, VEVENTQ_ALLOC, 32, 0, 99, type, 0);
		CALL(iommu, VEVENTQ_ALLOC, 32, 0, 99, type, 16);
		CALL(iommu, VEVENTQ_ALLOC, 32, 0, 99, type, 524289);
		CALL(iommu, VEVENTQ_ALLOC, 32, 1, 99, type, 16);
		CALL(iommu, HW_QUEUE_ALLOC, 40, 0, 99, type, 0, 0, 0, 0);
		CALL(iommu, HW_QUEUE_ALLOC, 40, 0, 99, type, 0, 0, 0, 0x1000);
		CALL(iommu, HW_QUEUE_ALLOC, 40, 0, 99, type, 0, 0, -0x1000ull, 0x2000);
		CALL(iommu, HW_QUEUE_ALLOC, 40, 1, 99, type, 0, 0, 0, 0x1000);
	}
	title("HWPT_INVALIDATE");
	CALL(iommu, HWPT_ALLOC, 48, 0, b.devid, id);
	uint32_t hwpt = field("out_hwpt_id");

	CALL(iommu, HWPT_INVALIDATE, 32, hwpt, MEM, 0, 24, 1, 1);
	CALL(iommu, HWPT_INVALIDATE, 32, hwpt, MEM, 0, 24, 1);
	CALL(iommu, HWPT_INVALIDATE, 32, hwpt, MEM, 0, 24, 0);
	CALL(iommu, HWPT_INVALIDATE, 32, hwpt, 0, 0, 24, 1);
	CALL(iommu, HWPT_INVALIDATE, 32, hwpt, MEM, 0, 0, 1);
	CALL(iommu, HWPT_INVALIDATE, 32, hwpt, MEM, 0, 4097, 1);
	CALL(iommu, HWPT_INVALIDATE, 32, hwpt, MEM, 0, 24, 524289);
	CALL(iommu, HWPT_INVALIDATE, 32, 99, MEM, 0, 24, 1);
	CALL(iommu, HWPT_INVALIDATE, 32, id, MEM, 0, 24, 1);
	close_bound(b);
}

void scenario_fault(void)
{
	struct bound b = open_by_cdev(EDU);
	int iommu = b.iommu;
	char bytes[128];

	CALL(iommu, FAULT_QUEUE_ALLOC, 16, 1);
	CALL(iommu, FAULT_QUEUE_ALLOC, 15);
	long made = CALL(iommu, FAULT_QUEUE_ALLOC, 16);
	uint32_t fault = field("out_fault_id");
	int queue = made < 0 ? -1 : (int)field("out_fault_fd");

	name_fd(queue, "queue");
	CALL(iommu, DESTROY, 8, fault);
	for (unsigned length = 0; length <= 80; length += 20) {
		say("queue.read( %u )", length);
		result(read(queue, bytes, length));
	}
	for (unsigned length = 0; length <= 16; length += 4) {
		memset(bytes, 0, sizeof(bytes));
		say("queue.write( %u )", length);
		result(write(queue, bytes, length));
	}
	memset(bytes, 0xff, sizeof(bytes));
	say("queue.write( bad code )");
	result(write(queue, bytes, 8));
	uint32_t id = ioas(iommu);

	for (unsigned flags = 4; flags < 16; flags++)
		CALL(iommu, HWPT_ALLOC, 48, flags, b.devid, id, 0, 0, 0, 0, 0, fault);
	shut(queue);
	CALL(iommu, DESTROY, 8, fault);
	close_bound(b);
}

void scenario_rlimit_mode(void)
{
	int iommu = open_file("/dev/iommu", "iommu");

	title("an empty context");
	for (unsigned op = 0; op < 3; op++)
		for (unsigned value = 0; value < 3; value++)
			CALL(iommu, OPTION, 24, 0, op, 0, 0, value);
	CALL(iommu, OPTION, 24, 0, 1);
	CALL(iommu, OPTION, 24, 0, 0, 0, 1, 1);
	CALL(iommu, OPTION, 24, 0, 0, 1, 0, 1);
	CALL(iommu, OPTION, 24, 0, 0, 0, 0, 1);
	CALL(iommu, OPTION, 24, 0, 1);
	title("an address space");
	ioas(iommu);
	for (unsigned value = 0; value < 3; value++)
		CALL(iommu, OPTION, 24, 0, 0, 0, 0, value);
	CALL(iommu, OPTION, 24, 0, 1);
	shut(iommu);
	title("a device");
	struct bound b = open_by_cdev(EDU);

	for (unsigned value = 0; value < 3; value++)
		CALL(b.iommu, OPTION, 24, 0, 0, 0, 0, value);
	close_bound(b);
}

/* All zeros but for the size; OPTION gets, because to set takes a capability. */
static void sized(int iommu, const struct shape *shape, uint64_t size)
{
	uint64_t values[] = { size, 0, 1 };

	call(iommu, shape, shape == &OPTION ? 3 : 1, values);
}

void scenario_sizes(void)
{
	static const struct shape *const shapes[] = {
		&DESTROY, &IOAS_ALLOC, &IOAS_ALLOW_IOVAS, &IOAS_COPY, &IOAS_IOVA_RANGES, &IOAS_MAP, &IOAS_UNMAP, &OPTION, &VFIO_IOAS,
		&HWPT_ALLOC, &GET_HW_INFO, &SET_DIRTY_TRACKING, &GET_DIRTY_BITMAP, &HWPT_INVALIDATE, &FAULT_QUEUE_ALLOC,
		&IOAS_MAP_FILE, &VIOMMU_ALLOC, &VDEVICE_ALLOC, &IOAS_CHANGE_PROCESS, &VEVENTQ_ALLOC, &HW_QUEUE_ALLOC,
	};
	static uint8_t after[4096];

	for (unsigned i = 0; i < LENGTH(shapes); i++) {
		int iommu = open_file("/dev/iommu", "iommu");

		title("%s", shapes[i]->name);
		for (uint64_t size = 0; size <= 52; size += 4)
			sized(iommu, shapes[i], size);
		for (uint64_t size = 23; size <= 49; size += 13)
			sized(iommu, shapes[i], size);
		memset(after, 0, sizeof(after));
		tail(after, 2000);
		sized(iommu, shapes[i], 4096);
		after[1999] = 1;
		tail(after, 2000);
		sized(iommu, shapes[i], 4096);
		tail(after, 2000);
		sized(iommu, shapes[i], 8192);
		after[1999] = 0;
		sized(iommu, shapes[i], 8192);
		room(4);
		sized(iommu, shapes[i], 4096);
		room(3);
		sized(iommu, shapes[i], 4096);
		shut(iommu);
	}
}
