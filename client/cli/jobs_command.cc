// aibackend jobs start|watch|list
#include <memory>
#include <optional>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/format.h"
#include "client/cli/interrupts.h"
#include "client/cli/job_watch.h"
#include "google/protobuf/util/json_util.h"

namespace aibackend::cli {
namespace {

constexpr size_t kParamsBytesMax = 16 << 20;  // StartJobRequest.params

struct JobArguments {
  std::string kind;
  std::string params;
  std::string collection;
  std::string id;
  int limit = kPageSizeDefault;
  bool watch = false;
  bool json = false;
};

// `params` is JSON, or @ and the name of a file of it. False: it isn't, which is printed.
bool ReadParams(Session& session, const std::string& params, google::protobuf::Struct& out) {
  std::string json = params;
  if (params[0] == '@') {
    auto text = ReadText(params.substr(1), kParamsBytesMax);
    if (!text.ok()) {
      session.FailUsage(text.status());
      return false;
    }
    json = *std::move(text);
  }
  const auto status = google::protobuf::util::JsonStringToMessage(json, &out);
  if (status.ok()) return true;
  session.FailUsage(absl::StrCat("--params is not a JSON object: ", status.ToString()));
  return false;
}

void RunStart(Session& session, const JobArguments& arguments) {
  v1::StartJobRequest request;
  request.set_kind(arguments.kind);
  request.set_collection(arguments.collection);
  if (!arguments.params.empty() &&
      !ReadParams(session, arguments.params, *request.mutable_params())) {
    return;
  }
  std::optional<Interrupts> interrupts;
  if (arguments.watch) interrupts.emplace();
  const auto job = session.client().StartJob(request, session.Options());
  if (!job.ok()) return session.Fail(job.error());
  if (arguments.json && !arguments.watch) return session.out.Write(ToJson(*job));
  if (!arguments.json) session.out.Line(absl::StrCat(job->job_id(), "  ", JobState(*job)));
  if (arguments.watch) WatchJob(session, *interrupts, job->job_id(), arguments.json);
}

void RunList(Session& session, const JobArguments& arguments) {
  v1::ListJobsResponse all;
  const bool listed = ListPages(
      session, v1::ListJobsRequest(), arguments.limit,
      [&](const auto& request) { return session.client().ListJobs(request, session.Options()); },
      [&](const v1::ListJobsResponse& page) {
        all.MergeFrom(page);
        return page.jobs_size();
      });
  if (!listed) return;
  if (arguments.json) return session.out.Write(ToJson(all));
  std::vector<std::vector<std::string>> rows = {{"JOB", "KIND", "CREATED", "ATTEMPTS", "STATE"}};
  for (const auto& job : all.jobs()) {
    rows.push_back({job.job_id(), job.kind(), FormatTime(job.created_at()),
                    absl::StrCat(job.attempts()), JobState(job)});
  }
  session.out.Table(rows);
}

}  // namespace

void AddJobsCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<JobArguments>();
  auto& jobs = *app.add_subcommand("jobs", "Starts, follows and lists background work");
  jobs.require_subcommand(1);

  auto& start = *jobs.add_subcommand("start", "Starts a job");
  start.add_option("kind", arguments->kind, "index_documents, evaluate or analyze_usage")
      ->required();
  start.add_option("--params", arguments->params, "A JSON object, or @FILE that holds one");
  start.add_option("--collection", arguments->collection, "The documents it works on");
  start.add_flag("--watch", arguments->watch, "Follow it to its end");
  start.add_flag("--json", arguments->json, "Print the job as JSON");
  start.callback([arguments, &session] { RunStart(session, *arguments); });

  auto& watch = *jobs.add_subcommand("watch", "Follows a job to its end; the exit code says how");
  watch.add_option("id", arguments->id, "The job")->required();
  watch.add_flag("--json", arguments->json, "Print the ended job as JSON");
  watch.callback([arguments, &session] {
    Interrupts interrupts;
    WatchJob(session, interrupts, arguments->id, arguments->json);
  });

  auto& list = *jobs.add_subcommand("list", "Lists jobs, newest first");
  list.add_option("--limit", arguments->limit, "How many at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  list.add_flag("--json", arguments->json, "Print the answer as JSON");
  list.callback([arguments, &session] { RunList(session, *arguments); });
}

}  // namespace aibackend::cli
