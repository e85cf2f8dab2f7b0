import { fuseNativeTransport } from '../../src/transports/fuse-native/index.js';
import { worksHere } from '../transports/works-here.js';
import { mounted } from './mounted.js';
import { conformance } from './suite.js';

if (await worksHere('fuse-native')) conformance(mounted(fuseNativeTransport));
