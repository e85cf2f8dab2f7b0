// The type of a pretend host's file system, as /proc/<pid>/mountinfo shows it (src/transports/fuse/session.ts).
#pragma once

constexpr const char* kHostFilesystem = "fuse.vfiofs";
