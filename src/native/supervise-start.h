// The launcher's side of supervision.
#pragma once

// Has the calling thread and its children supervised: the file system that `directory` lies on is the pretend host's. `lifeline`, if it is open, goes
// to the supervisor. Returns 0, or an errno with `*what` saying of what.
int startSupervision(const char* directory, int lifeline, const char** what);
