// The ledger into a file or to stdout.
#pragma once

#include <string>

#include "client/cli/session.h"

namespace aibackend::cli {

// Writes the export that `request` names to stdout, or to the file `path` where that isn't empty. A
// file is there under its name only once it is whole: until then it is PATH.part, which an export
// that fails takes away again, and what was at PATH stays. Prints errors and sets the exit code;
// Ctrl-C ends it with kExitInterrupted.
void ExportUsage(Session& session, const v1::ExportUsageRequest& request, const std::string& path);

}  // namespace aibackend::cli
