/** For tests of transports that mount. */
import { it } from 'vitest';
import { thisMachine } from '../../src/transports/choose.js';
import { fuseDeviceProblem } from '../../src/transports/fuse-device.js';

/** Whether `transport` can be tested; if not, a test says why. A machine may lack /dev/fuse; all else scripts/setup installs and builds. */
export async function worksHere(transport: 'fuse' | 'fuse-native'): Promise<boolean> {
  const { works, reasons } = await thisMachine[transport]();
  if (!works)
    it(`${transport} works here`, ({ skip }) => {
      const problem = fuseDeviceProblem();
      if (problem) skip(problem.what);
      throw new Error(`${reasons.join('; ')}: run scripts/setup`);
    });
  return works;
}
