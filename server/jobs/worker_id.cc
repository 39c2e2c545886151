#include "server/jobs/worker_id.h"

#include <limits.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace aibackend::jobs {
namespace {

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

// The start time of a process that lives; empty if there is none of this number, or only its
// remains (a zombie).
std::string StartTime(int64_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  // The second field is the program's name in parentheses and may hold anything; "state" follows.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  const std::vector<std::string> fields =
      absl::StrSplit(line.substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 3 - 3;
  constexpr size_t kStartTime = 22 - 3;
  if (fields.size() <= kStartTime || fields[kState] == "Z" || fields[kState] == "X") return {};
  return fields[kStartTime];
}

}  // namespace

std::string MakeWorkerId() {
  absl::BitGen random;
  return absl::StrFormat("%s:%d:%s:%08x", HostName(), getpid(), StartTime(getpid()),
                         absl::Uniform<uint32_t>(random));
}

bool WorkerIsGone(const std::string& worker_id) {
  const std::vector<std::string> parts = absl::StrSplit(worker_id, ':');
  int64_t pid = 0;
  if (parts.size() != 4 || parts[0] != HostName() || !absl::SimpleAtoi(parts[1], &pid)) {
    return false;
  }
  return StartTime(pid) != parts[2];
}

}  // namespace aibackend::jobs
