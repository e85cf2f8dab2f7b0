/**
 * What this program and the addon (with the launcher and the supervisor, which are built with it) say to each other has this number: binding.gyp
 * gives it to the addon. Raised with every change of src/native/index.ts, of the launcher's options and of supervision.h.
 */
export const INTERFACE = 3;
