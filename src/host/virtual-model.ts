/** VFs that a device model makes work: what the model says of them stands in for what the description leaves out. */
import type { CompleteDescription, CompleteSriov } from './completed.js';
import { findModel, type ModelLookup } from './models.js';
import { withoutUndefined } from './shape.js';

/** `row` with the ids, BARs and MSI-X that its VFs have of their model. Throws what the model has against its options. */
export function withVfModel(row: CompleteDescription, models: ModelLookup): CompleteDescription {
  const { sriov } = row;
  const shape = findModel(models, sriov?.model)?.shape({ ...sriov?.options });
  if (!sriov || !shape) return row;
  const said = withoutUndefined<CompleteSriov>({
    ...sriov,
    vfDevice: sriov.vfDevice ?? shape.device,
    vfClass: sriov.vfClass ?? shape.classCode,
    vfRevision: sriov.vfRevision ?? shape.revision,
    vfSubsystemDevice: sriov.vfSubsystemDevice ?? shape.subsystemDevice,
    bars: shape.bars,
    msix: sriov.msix ?? shape.msix,
  });
  return { ...row, sriov: said };
}
