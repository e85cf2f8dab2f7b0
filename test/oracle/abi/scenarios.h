/* The scenarios, in the order they run. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include "shapes.h"

#define SCENARIOS \
	SCENARIO(bind) \
	SCENARIO(group) \
	SCENARIO(container) \
	SCENARIO(names) \
	SCENARIO(map) \
	SCENARIO(unmap) \
	SCENARIO(vaddr) \
	SCENARIO(dirty) \
	SCENARIO(info) \
	SCENARIO(access) \
	SCENARIO(mapping) \
	SCENARIO(config) \
	SCENARIO(config_writes) \
	SCENARIO(intx) \
	SCENARIO(msi) \
	SCENARIO(irq_rules) \
	SCENARIO(edu) \
	SCENARIO(edu_intx) \
	SCENARIO(edu_msi) \
	SCENARIO(edu_dma) \
	SCENARIO(edu_iommufd) \
	SCENARIO(bar_memory) \
	SCENARIO(reset) \
	SCENARIO(ioeventfd) \
	SCENARIO(feature) \
	SCENARIO(power) \
	SCENARIO(cdev) \
	SCENARIO(attach) \
	SCENARIO(ioas) \
	SCENARIO(ioas_map) \
	SCENARIO(ioas_copy) \
	SCENARIO(hwpt) \
	SCENARIO(objects) \
	SCENARIO(fault) \
	SCENARIO(rlimit_mode) \
	SCENARIO(sizes) \
	SCENARIO(compat) \
	SCENARIO(matrix) \
	SCENARIO(sriov) \
	SCENARIO(config_vf) \
	SCENARIO(noiommu)

#define SCENARIO(name) void scenario_##name(void);
SCENARIOS
#undef SCENARIO

#endif
