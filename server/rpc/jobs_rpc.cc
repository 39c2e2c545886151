#include "server/rpc/jobs_rpc.h"

#include "absl/strings/str_cat.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/idempotency.h"

namespace aibackend::rpc {
namespace {

constexpr char kDefaultKind[] = "index_documents";

// The job's params: the request's Struct, and the collection where the request names one beside it.
absl::StatusOr<jobs::Json> ParamsOf(const v1::StartJobRequest& request, const std::string& tenant) {
  const std::string text = StructToJson(request.params());
  jobs::Json params = text.empty() ? jobs::Json::object()
                                   : jobs::Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!params.is_object())
    return MakeError(Reason::FIELD_INVALID, "params must be an object", "params");
  if (params.contains("tenant")) {
    return MakeError(Reason::UNKNOWN_FIELD, "params has no such field", "params.tenant");
  }
  if (!request.collection().empty()) {
    if (params.contains("collection")) {
      return MakeError(Reason::FIELD_INVALID, "the collection is given twice", "params.collection");
    }
    params["collection"] = request.collection();
  }
  if (tenant != "default") params["tenant"] = tenant;
  return params;
}

// The key under which a job is started once, if the call has one.
absl::StatusOr<absl::optional<jobs::SubmitKey>> SubmitKeyOf(
    const grpc::CallbackServerContext& context, const Call& call, const std::string& kind,
    const jobs::Json& params) {
  AIB_ASSIGN_OR_RETURN(auto key, IdempotencyKeyOf(context));
  if (!key) return absl::optional<jobs::SubmitKey>();
  // The contract's strings are UTF-8; what isn't is refused when it is stored.
  const std::string text = params.dump(-1, ' ', false, jobs::Json::error_handler_t::replace);
  return absl::make_optional(
      jobs::SubmitKey{call.OwnKey(*key), Fingerprint(absl::StrCat(kind, "\n", text))});
}

}  // namespace

grpc::ServerUnaryReactor* StartJob(Core& core, grpc::CallbackServerContext& context,
                                   const v1::StartJobRequest& request, v1::Job* response) {
  const std::string kind = request.kind().empty() ? kDefaultKind : request.kind();
  return (new BlockingCall(core, context, "StartJob"))
      ->Record(kind)
      ->Run([&core, &context, &request, response, kind](Call& call) {
        const bool is_everybodys = core.job_runner.NeedsAdmin(kind);
        if (is_everybodys && !call.May(access::Scope::kAdmin)) {
          return MakeError(
              Reason::SCOPE_MISSING,
              absl::StrCat("this key may not start ", kind, " jobs; it needs the scope \"admin\""),
              "kind");
        }
        AIB_ASSIGN_OR_RETURN(const jobs::Json params,
                             ParamsOf(request, is_everybodys ? "default" : call.tenant()));
        AIB_ASSIGN_OR_RETURN(const auto once, SubmitKeyOf(context, call, kind, params));
        AIB_ASSIGN_OR_RETURN(const jobs::Job job,
                             core.job_runner.Submit(kind, params, call.tenant(), once));
        Fill(job, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GetJob(Core& core, grpc::CallbackServerContext& context,
                                 const v1::GetJobRequest& request, v1::Job* response) {
  return (new BlockingCall(core, context, "GetJob"))->Run([&core, &request, response](Call& call) {
    AIB_ASSIGN_OR_RETURN(const jobs::Job job, core.job_queue.Get(JobId(request.job_id())));
    if (job.tenant != call.tenant()) return jobs::NoSuchJob();
    Fill(job, response);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ListJobs(Core& core, grpc::CallbackServerContext& context,
                                   const v1::ListJobsRequest& request,
                                   v1::ListJobsResponse* response) {
  return (new BlockingCall(core, context, "ListJobs"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const int page_size, PageSizeOf(request));
        AIB_ASSIGN_OR_RETURN(const auto page,
                             core.job_queue.List(call.tenant(), page_size, request.page_token()));
        for (const auto& job : page.jobs) Fill(job, response->add_jobs());
        response->set_next_page_token(page.next_page_token);
        return absl::OkStatus();
      });
}

}  // namespace aibackend::rpc
