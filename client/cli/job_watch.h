// Following a job to its end.
#pragma once

#include <optional>
#include <string>

#include "aibackend/v1/jobs.pb.h"
#include "client/cli/interrupts.h"
#include "client/cli/session.h"

namespace aibackend::cli {

// Shows the job's progress until it ends: a bar on a terminal, else a line for each change; as JSON
// only the end. Sets the exit code: 0 SUCCEEDED, 1 anything else, 130 for Ctrl-C, which leaves the
// job running. A server that is away for up to kUnreachablePollsMax polls (a restart) is waited
// for.
void WatchJob(Session& session, Interrupts& interrupts, const std::string& job_id, bool json);

// The same for a job that is a step of something else: shows progress on a terminal only, nothing
// at all if `quiet`, and returns the job if it SUCCEEDED. Otherwise the error is printed, and the
// exit code set as above.
std::optional<v1::Job> AwaitJob(Session& session, Interrupts& interrupts, const std::string& job_id,
                                bool quiet);

// "QUEUED", "RUNNING  3/10  embedding": a job's state in one line.
std::string JobState(const v1::Job& job);

}  // namespace aibackend::cli
