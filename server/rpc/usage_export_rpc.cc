#include "server/rpc/usage_export_rpc.h"

#include <atomic>
#include <utility>
#include <vector>

#include "server/rpc/call.h"
#include "server/rpc/convert_usage.h"
#include "server/usage/usage_export.h"
#include "server/usage/usage_reader.h"

namespace aibackend::rpc {
namespace {

// A batch is read on the executor, then written, then the next is read: memory is one batch,
// however long the export and however slow its reader. One of the two is under way at any time, and
// that alone touches the members.
class ExportCall final : public grpc::ServerWriteReactor<v1::BodyPiece> {
 public:
  ExportCall(Core& core, grpc::CallbackServerContext& context)
      : core_(core), call_(core, context, "ExportUsage") {}

  void Start(const v1::ExportUsageRequest& request) {
    if (!call_.admission().ok()) return End(call_.admission());
    call_.Record("");
    if (absl::Status status = Prepare(request); !status.ok()) return End(status);
    ReadOn();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(MakeError(Reason::CANCELLED, "the client left"));
    ReadOn();
  }
  void OnCancel() override { is_cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  absl::Status Prepare(const v1::ExportUsageRequest& request) {
    const auto format = usage::ExportFormatOf(request.format().empty() ? "csv" : request.format());
    if (!format) return MakeError(Reason::FIELD_INVALID, "must be csv or jsonl", "format");
    format_ = *format;
    AIB_ASSIGN_OR_RETURN(usage::UsageFilter filter, ToFilter(request, call_));
    // Without an end an export on a busy server would never come to one.
    if (!filter.to) filter.to = call_.started_at();
    reader_.emplace(core_.ledger.Read(std::move(filter)));
    piece_.set_content_type(usage::ContentTypeOf(format_));
    piece_.set_data(usage::ExportHead(format_));
    return absl::OkStatus();
  }

  void ReadOn() {
    if (core_.executor.TrySubmit([this] { ReadBatch(); })) return;
    End(WithRetryAfter(MakeError(Reason::OVERLOADED, "too many calls are waiting"),
                       absl::Seconds(1)));
  }

  void ReadBatch() {
    if (is_cancelled_) return End(MakeError(Reason::CANCELLED, "the client left"));
    if (!any_written_) {
      // An export that ends OK has every row that ended before it began.
      if (absl::Status settled = core_.ledger.Settle(); !settled.ok()) return End(settled);
    }
    const auto rows = reader_->Next();
    if (!rows.ok()) return End(rows.status());
    for (const usage::RequestRow& row : *rows) {
      piece_.mutable_data()->append(usage::ExportLine(format_, row));
    }
    const bool is_first = !std::exchange(any_written_, true);
    if (rows->empty() && !is_first) return End(absl::OkStatus());
    written_ = std::exchange(piece_, v1::BodyPiece());
    StartWrite(&written_);
  }

  void End(const absl::Status& status) { Finish(call_.Finish(status)); }

  Core& core_;
  Call call_;
  usage::ExportFormat format_ = usage::ExportFormat::kCsv;
  absl::optional<usage::UsageReader> reader_;
  v1::BodyPiece piece_;    // being filled
  v1::BodyPiece written_;  // the write in flight
  bool any_written_ = false;
  std::atomic<bool> is_cancelled_{false};
};

}  // namespace

grpc::ServerWriteReactor<v1::BodyPiece>* StartUsageExport(Core& core,
                                                          grpc::CallbackServerContext& context,
                                                          const v1::ExportUsageRequest& request) {
  auto* call = new ExportCall(core, context);
  call->Start(request);
  return call;
}

}  // namespace aibackend::rpc
