// Who holds a lease: a process, told apart from a later one with the same number.
#pragma once

#include <string>

namespace aibackend::jobs {

// "<host>:<pid>:<start time>:<random>" of this process. The start time is field 22 of
// /proc/<pid>/stat, in clock ticks since boot (proc(5)): it tells a process from a later one that
// got its number.
std::string MakeWorkerId();

// True if `worker_id` names a process of this machine that has ended. False for other machines,
// and for what MakeWorkerId didn't make: of those nothing is known.
bool WorkerIsGone(const std::string& worker_id);

}  // namespace aibackend::jobs
