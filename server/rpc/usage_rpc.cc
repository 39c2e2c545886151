#include "server/rpc/usage_rpc.h"

#include <utility>

#include "server/rpc/call.h"
#include "server/rpc/convert_usage.h"
#include "server/rpc/prices_rpc.h"
#include "server/rpc/request_detail.h"

namespace aibackend::rpc {
namespace {

// The newest row of this x-request-id, or the row of this id, among those that the caller may see.
absl::StatusOr<usage::RequestRow> FindRow(Core& core, const Call& call, const std::string& id) {
  for (absl::optional<std::string> usage::UsageFilter::*field :
       {&usage::UsageFilter::request_id, &usage::UsageFilter::row_id}) {
    usage::UsageFilter filter;
    filter.*field = id;
    AIB_RETURN_IF_ERROR(KeepToOwn(call, filter));
    AIB_ASSIGN_OR_RETURN(usage::RequestPage page, core.ledger.List(filter, 1, ""));
    if (!page.rows.empty()) return std::move(page.rows.front());
  }
  return MakeError(Reason::REQUEST_NOT_FOUND, "there is no request of this id", "request_id");
}

}  // namespace

grpc::ServerUnaryReactor* ListUsage(Core& core, grpc::CallbackServerContext& context,
                                    const v1::ListUsageRequest& request,
                                    v1::ListUsageResponse* response) {
  return (new BlockingCall(core, context, "ListUsage"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const int page_size, PageSizeOf(request));
        AIB_ASSIGN_OR_RETURN(usage::UsageFilter filter, ToFilter(request, call));
        if (!request.request_id().empty()) filter.request_id = request.request_id();
        AIB_ASSIGN_OR_RETURN(const auto page,
                             core.ledger.List(filter, page_size, request.page_token()));
        for (const auto& row : page.rows) Fill(row, response->add_requests());
        response->set_next_page_token(page.next_page_token);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SummarizeUsage(Core& core, grpc::CallbackServerContext& context,
                                         const v1::SummarizeUsageRequest& request,
                                         v1::UsageSummary* response) {
  return (new BlockingCall(core, context, "SummarizeUsage"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const usage::SummaryQuery query, ToSummaryQuery(request, call));
        core.ledger.Settle().IgnoreError();  // while the database is away: what is there
        AIB_ASSIGN_OR_RETURN(const usage::UsageSummary summary, core.summaries.Summarize(query));
        Fill(summary, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GetRequest(Core& core, grpc::CallbackServerContext& context,
                                     const v1::GetRequestRequest& request,
                                     v1::RequestView* response) {
  return (new BlockingCall(core, context, "GetRequest"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const usage::RequestRow row,
                             FindRow(core, call, request.request_id()));
        Fill(row, response->mutable_request());
        FillDetail(row.detail, response);
        if (row.price_version == 0) return absl::OkStatus();
        AIB_ASSIGN_OR_RETURN(const auto price, core.prices.Find(row.price_version));
        if (price) Fill(*price, response->mutable_price());
        return absl::OkStatus();
      });
}

}  // namespace aibackend::rpc
