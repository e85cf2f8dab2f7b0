/** The power/ directory of every device (drivers/base/power/sysfs.c). */
import { refuse } from '../../abi/errno.js';
import type { Model } from '../context.js';
import { type Entry, subdirectory, text } from '../kit/directory.js';
import { parseName } from '../kit/parse.js';

export interface PowerState {
  /** As long as nothing was written to `control`. */
  readonly control: 'auto' | 'on';
  readonly status: 'active' | 'suspended' | 'unsupported';
}

/** Devices without runtime power management: classes, virtual devices, host bridges. */
const unmanaged: PowerState = { control: 'auto', status: 'unsupported' };

export function power<S extends object>(
  model: Model,
  state: (subject: S) => PowerState = () => unmanaged,
): Entry<S> {
  const noAutosuspend = () => refuse('EIO', 'autosuspend is not in use');
  /** Time is counted from the start of the process: nothing here keeps a history of transitions. */
  const milliseconds = (subject: S, wanted: PowerState['status']) =>
    state(subject).status === wanted ? Math.floor(performance.now()) : 0;
  return subdirectory<S>('power', [
    text('control', {
      show: (subject) => model.powerControls.get(subject) ?? state(subject).control,
      store(subject, content) {
        const wanted = parseName(content);
        if (wanted !== 'auto' && wanted !== 'on') return refuse('EINVAL', 'neither auto nor on');
        model.powerControls.set(subject, wanted);
      },
    }),
    text('runtime_status', {
      show(subject) {
        const { status } = state(subject);
        return status === 'suspended' && model.powerControls.get(subject) === 'on' ? 'active' : status;
      },
    }),
    text('runtime_active_time', { show: (subject) => milliseconds(subject, 'active') }),
    text('runtime_suspended_time', { show: (subject) => milliseconds(subject, 'suspended') }),
    text('autosuspend_delay_ms', { show: noAutosuspend, store: noAutosuspend }),
  ]);
}
