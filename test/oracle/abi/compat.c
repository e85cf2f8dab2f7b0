/* An iommufd as container. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

static void extensions(int container)
{
	for (unsigned id = 0; id <= 12; id++)
		call_value(container, &CHECK_EXTENSION, id);
}

static void set_types(int iommu)
{
	static const uint64_t types[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ALL_ONES };

	for (unsigned i = 0; i < LENGTH(types); i++)
		call_value(iommu, &SET_IOMMU, types[i]);
}

static void infos(int iommu)
{
	static const unsigned sizes[] = { 0, 15, 16, 24, 25, 35, 36, 39, 40, 56, 72, 87, 88, 89, 120, 4096 };

	for (unsigned i = 0; i < LENGTH(sizes); i++)
		CALL(iommu, IOMMU_GET_INFO, sizes[i]);
}

static void map_and_unmap(int iommu)
{
	title("MAP_DMA");
	room(31);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0, 0x1000);
	CALL(iommu, MAP_DMA, 31, 3, MEM, 0, 0x1000);
	for (unsigned flags = 0; flags <= 8; flags++)
		CALL(iommu, MAP_DMA, 32, flags, MEM, 0x1000000 + flags * 0x10000, 0x1000);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0, 0);
	CALL(iommu, MAP_DMA, 32, 3, MEM, ALL_ONES, 2);
	CALL(iommu, MAP_DMA, 32, 3, ALL_ONES, 0, 2);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0x2000000, 0x800);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0x2000800, 0x1000);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0x1010000, 0x1000);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0xfee00000, 0x1000);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 1ull << 60, 0x1000);
	CALL(iommu, MAP_DMA, 32, 3, NOWHERE, 0x3000000, 0x1000);
	CALL(iommu, MAP_DMA, 32, 3, READONLY_MEM, 0x3010000, 0x1000);
	title("UNMAP_DMA");
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 0x1000);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0x5000000, 0x4000);
	CALL(iommu, UNMAP_DMA, 23, 0, 0x5000000, 0x1000);
	room(23);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 0x1000);
	CALL(iommu, UNMAP_DMA, 24, 1, 0x5000000, 0x4000);
	CALL(iommu, UNMAP_DMA, 24, 4, 0x5000000, 0x4000);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 0);
	CALL(iommu, UNMAP_DMA, 24, 0, -0x1000ull, 0x2000);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 1);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 2);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000001, 0x3fff);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000800, 0x1000);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5001000, 0x1000);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 0x2000);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 0x4000);
	CALL(iommu, UNMAP_DMA, 24, 0, 0x5000000, 0x100000);
	CALL(iommu, UNMAP_DMA, 24, 2, 0, 0x1000);
	CALL(iommu, UNMAP_DMA, 24, 2);
	CALL(iommu, UNMAP_DMA, 24, 2);
	CALL(iommu, DIRTY_PAGES, 8, 1);
}

void scenario_compat(void)
{
	int iommu = open_file("/dev/iommu", "iommu"), group = open_group(EDU, "group"), null = open_file("/dev/null", "null");

	title("before any group");
	call_value(iommu, &GET_API_VERSION, 0);
	extensions(iommu);
	set_types(iommu);
	CALL(iommu, IOMMU_GET_INFO, 24);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0, 0x1000);
	CALL(iommu, UNMAP_DMA, 24, 0, 0, 0x1000);
	CALL(iommu, VFIO_IOAS, 12);
	title("a group");
	CALL(group, SET_CONTAINER, iommu);
	CALL(group, SET_CONTAINER, iommu);
	CALL(group, GET_STATUS, 8);
	CALL(iommu, VFIO_IOAS, 12);
	extensions(iommu);
	infos(iommu);
	set_types(iommu);
	map_and_unmap(iommu);
	title("a device");
	int device = device_fd(group, EDU, "device");

	extensions(iommu);
	infos(iommu);
	set_types(iommu);
	call_value(iommu, &SET_IOMMU, 3);
	map_and_unmap(iommu);
	title("type1");
	CALL(iommu, UNMAP_DMA, 24, 2);
	call_value(iommu, &SET_IOMMU, 1);
	map_and_unmap(iommu);
	title("who outlives whom");
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0x10000, 0x1000);
	call_value(group, &UNSET_CONTAINER, 0);
	CALL(group, GET_STATUS, 8);
	CALL(device, GET_INFO, 16);
	shut(group);
	group = open_group(EDU, "group");
	CALL(group, SET_CONTAINER, iommu);
	int again = device_fd(group, EDU, "again");

	shut(device);
	shut(again);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0x10000, 0x1000);
	CALL(iommu, DESTROY, 8, 1);
	CALL(iommu, IOMMU_GET_INFO, 24);
	device_fd(group, EDU, "device");
	call_value(group, &UNSET_CONTAINER, 0);
	CALL(group, SET_CONTAINER, iommu);
	CALL(iommu, VFIO_IOAS, 12);
	device = device_fd(group, EDU, "device");
	CALL(iommu, VFIO_IOAS, 12);
	title("a container and an iommufd want the same group");
	int slot = open_group(SLOT0, "slot"), container = open_file("/dev/vfio/vfio", "container");

	CALL(slot, SET_CONTAINER, iommu);
	int cdev = open_cdev(SLOT0, "cdev");

	CALL(cdev, BIND_IOMMUFD, 24, 0, iommu);
	shut(slot);
	CALL(cdev, BIND_IOMMUFD, 24, 0, iommu);
	shut(cdev);
	shut(container);
	shut(device);
	shut(group);
	shut(iommu);
	shut(null);
}

void scenario_noiommu(void)
{
	int container = open_file("/dev/vfio/vfio", "container"), second = open_file("/dev/vfio/vfio", "second");

	title("open");
	extensions(container);
	int group = open_group(EDU, "group");

	open_group(EDU, "again");
	open_cdev(EDU, "cdev");
	CALL(group, GET_STATUS, 8);
	CALL(group, SET_CONTAINER, container);
	CALL(group, GET_STATUS, 8);
	extensions(container);
	device_fd(group, EDU, "device");
	set_types(container);
	title("noiommu");
	extensions(container);
	CALL(container, IOMMU_GET_INFO, 24);
	CALL(container, MAP_DMA, 32, 3, MEM, 0, 0x1000);
	CALL(container, UNMAP_DMA, 24, 0, 0, 0x1000);
	CALL(container, DIRTY_PAGES, 8, 1);
	int device = device_fd(group, EDU, "device");

	CALL(device, GET_INFO, 24);
	for (unsigned index = 0; index < 5; index++)
		CALL(device, GET_IRQ_INFO, 16, 0, index);
	CALL(device, GET_REGION_INFO, 32, 0, 0);
	read_region(device, 7, 0, 4);
	CALL(device, GET_PCI_HOT_RESET_INFO, 64);
	title("a second group");
	int other = open_group(TESTDEV, "other");

	CALL(other, SET_CONTAINER, container);
	call_value(other, &UNSET_CONTAINER, 0);
	call_value(group, &UNSET_CONTAINER, 0);
	shut(device);
	call_value(group, &UNSET_CONTAINER, 0);
	title("an iommufd");
	int iommu = open_file("/dev/iommu", "iommu");

	CALL(group, SET_CONTAINER, iommu);
	extensions(iommu);
	set_types(iommu);
	CALL(iommu, IOMMU_GET_INFO, 24);
	CALL(iommu, MAP_DMA, 32, 3, MEM, 0, 0x1000);
	CALL(iommu, VFIO_IOAS, 12);
	device = device_fd(group, EDU, "device");
	CALL(device, GET_INFO, 24);
	shut(device);
	CALL(iommu, IOAS_ALLOC, 12);
	CALL(iommu, VFIO_IOAS, 12, 1, 1);
	device_fd(group, EDU, "device");
	call_value(group, &UNSET_CONTAINER, 0);
	CALL(group, SET_CONTAINER, iommu);
	shut(iommu);
	shut(group);
	shut(other);
	shut(second);
	shut(container);
	for (unsigned i = 0; i < 2; i++) {
		static const char *const bdfs[] = { NVME, SLOT0 };

		title("%s", bdfs[i]);
		struct opened o = open_by_group(bdfs[i], 8);

		CALL(o.device, GET_INFO, 24);
		CALL(o.device, GET_PCI_HOT_RESET_INFO, 64);
		close_opened(o);
	}
}
