import { it } from 'vitest';
import { fuseNativeTransport } from '../../src/transports/fuse-native/index.js';
import { loadFuseNative } from '../../src/transports/fuse-native/mount.js';
import { mounted } from './mounted.js';
import { conformance } from './suite.js';

const unusable = await loadFuseNative().then(
  () => undefined,
  (error: Error) => error.message,
);
if (unusable) it('fuse-native works here', ({ skip }) => skip(unusable));
else conformance(mounted(fuseNativeTransport));
