/** Names that objects in sysfs have anyway, so that no extra attribute can have them; a test holds them against the tree. */

const bars = [0, 1, 2, 3, 4, 5].flatMap((i) => ['', '_resize', '_wc'].map((end) => `resource${i}${end}`));

export const functionNames: ReadonlySet<string> = new Set([
  'auxiliary',
  ...`acpi_index aer aer_dev_correctable aer_dev_fatal aer_dev_nonfatal aer_rootport_total_err_cor aer_rootport_total_err_fatal
    aer_rootport_total_err_nonfatal ari_enabled boot_vga broken_parity_status class config consistent_dma_mask_bits
    current_link_speed current_link_width d3cold_allowed dep_link device dma_mask_bits driver driver_override enable iommu
    index iommu_group irq label link local_cpulist local_cpus max_link_speed max_link_width mdev_supported_types modalias msi_bus
    msi_irqs numa_node pci_bus physfn power power_state remove rescan reset reset_method reset_subordinate resource
    revision rom secondary_bus_number serial_number sriov_drivers_autoprobe sriov_numvfs sriov_offset sriov_stride
    sriov_totalvfs sriov_vf_device sriov_vf_msix_count sriov_vf_total_msix subordinate_bus_number subsystem
    subsystem_device subsystem_vendor uevent vendor vfio-dev vpd`.split(/\s+/),
  ...bars,
]);

export const driverNames: ReadonlySet<string> = new Set([
  'bind',
  'module',
  'new_id',
  'remove_id',
  'uevent',
  'unbind',
]);

export const mdevNames: ReadonlySet<string> = new Set(
  'driver iommu_group mdev_type power remove sfnum subsystem uevent vfio-dev'.split(' '),
);
