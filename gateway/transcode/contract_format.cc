#include "gateway/transcode/contract_format.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/transcode/json_writer.h"
#include "gateway/transcode/sse.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

HttpAnswer ErrorAnswer(const ApiError& error, const std::string& request_id) {
  return {error.http_status, ErrorHeaders(error), ErrorJson(error, request_id)};
}

class JsonFormat final : public UnaryFormat {
 public:
  explicit JsonFormat(int status) : status_(status) {}
  std::optional<HttpAnswer> Answer(const Message& response) override {
    auto json = MessageToJson(response);
    if (!json) return std::nullopt;
    return HttpAnswer{status_, {{"Content-Type", "application/json"}}, *std::move(json)};
  }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) override {
    return ErrorAnswer(error, request_id);
  }

 private:
  const int status_;
};

// The fields of an answer in pieces; null where the message is none.
struct Pieces {
  explicit Pieces(const Descriptor& type) {
    const auto* oneof = type.FindOneofByName("event");
    const auto* last = type.FindFieldByName("done");
    if (!oneof || !last || last->containing_oneof() != oneof || !last->message_type()) return;
    event = oneof;
    done = last;
    const auto* text = type.FindFieldByName("delta");
    if (text && text->containing_oneof() == oneof && text->type() == FieldDescriptor::TYPE_STRING)
      delta = text;
    const auto* number = type.FindFieldByName("sequence");
    if (number && number->type() == FieldDescriptor::TYPE_INT64) sequence = number;
    for (int i = 0; i < type.field_count(); ++i) {
      if (type.field(i)->is_repeated() && type.field(i)->message_type())
        lists.push_back(type.field(i));
    }
  }
  const google::protobuf::OneofDescriptor* event = nullptr;
  const FieldDescriptor* done = nullptr;
  const FieldDescriptor* delta = nullptr;
  const FieldDescriptor* sequence = nullptr;
  std::vector<const FieldDescriptor*> lists;
};

// {"member": value, "list": [...]} with those lists that hold something.
std::optional<std::string> PieceJson(const Message& message, const FieldDescriptor& member,
                                     const Pieces& pieces) {
  const auto& reflection = *message.GetReflection();
  std::string json = absl::StrCat("{\"", member.name(), "\":");
  if (member.message_type()) {
    const auto value = MessageToJson(reflection.GetMessage(message, &member));
    if (!value) return std::nullopt;
    json += *value;
  } else {
    std::string scratch;
    AppendJsonString(reflection.GetStringReference(message, &member, &scratch), json);
  }
  for (const FieldDescriptor* list : pieces.lists) {
    const int size = reflection.FieldSize(message, list);
    for (int i = 0; i < size; ++i) {
      const auto value = MessageToJson(reflection.GetRepeatedMessage(message, list, i));
      if (!value) return std::nullopt;
      absl::StrAppend(&json, i == 0 ? absl::StrCat(",\"", list->name(), "\":[") : ",", *value);
    }
    if (size > 0) json += "]";
  }
  return json + "}";
}

class EventStreamFormat final : public StreamFormat {
 public:
  explicit EventStreamFormat(const Route& route)
      : status_(route.success_status), pieces_(*route.method->output_type()) {}

  HttpAnswer Head() override { return {status_, SseHeaders(), {}}; }

  std::optional<std::string> Event(const Message& message) override {
    const auto& reflection = *message.GetReflection();
    const FieldDescriptor* member =
        pieces_.event ? reflection.GetOneofFieldDescriptor(message, pieces_.event) : nullptr;
    if (member != nullptr && member == pieces_.done) {
      done_ = MessageToJson(reflection.GetMessage(message, member));
      if (!done_) return std::nullopt;
      return std::string();
    }
    const uint64_t id = IdOf(message);
    if (member != nullptr && member == pieces_.delta && !HasLists(message)) {
      std::string scratch;
      return SseDelta(id, reflection.GetStringReference(message, member, &scratch));
    }
    const auto json =
        member != nullptr ? PieceJson(message, *member, pieces_) : MessageToJson(message);
    if (!json) return std::nullopt;
    return SseData(id, *json);
  }

  std::optional<std::string> End() override {
    if (pieces_.done && !done_) return std::nullopt;
    return SseNamed("done", done_.value_or("{}"));
  }
  std::optional<std::string> ErrorEvent(const ApiError& error,
                                        const std::string& request_id) override {
    return SseNamed("error", ErrorJson(error, request_id));
  }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) override {
    return ErrorAnswer(error, request_id);
  }
  absl::string_view Heartbeat() override { return kSseHeartbeat; }

 private:
  uint64_t IdOf(const Message& message) {
    const int64_t sequence =
        pieces_.sequence ? message.GetReflection()->GetInt64(message, pieces_.sequence) : 0;
    return sequence > 0 ? static_cast<uint64_t>(sequence) : ++events_;
  }
  bool HasLists(const Message& message) const {
    for (const FieldDescriptor* list : pieces_.lists) {
      if (message.GetReflection()->FieldSize(message, list) > 0) return true;
    }
    return false;
  }

  const int status_;
  const Pieces pieces_;
  std::optional<std::string> done_;
  uint64_t events_ = 0;
};

class PlainTextFormat final : public StreamFormat {
 public:
  explicit PlainTextFormat(const Route& route)
      : status_(route.success_status), pieces_(*route.method->output_type()) {}

  HttpAnswer Head() override {
    return {status_,
            {{"Content-Type", "text/plain; charset=utf-8"},
             {"Cache-Control", "no-cache"},
             {"X-Accel-Buffering", "no"}},
            {}};
  }
  std::optional<std::string> Event(const Message& message) override {
    const auto& reflection = *message.GetReflection();
    if (!pieces_.event) {
      auto json = MessageToJson(message);
      if (json) *json += '\n';
      return json;
    }
    const FieldDescriptor* member = reflection.GetOneofFieldDescriptor(message, pieces_.event);
    has_done_ = has_done_ || member == pieces_.done;
    if (member == nullptr || member != pieces_.delta) return std::string();
    return reflection.GetString(message, member);
  }
  std::optional<std::string> End() override {
    if (pieces_.done && !has_done_) return std::nullopt;
    return std::string();
  }
  std::optional<std::string> ErrorEvent(const ApiError&, const std::string&) override {
    return std::nullopt;
  }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) override {
    return ErrorAnswer(error, request_id);
  }
  absl::string_view Heartbeat() override { return {}; }

 private:
  const int status_;
  const Pieces pieces_;
  bool has_done_ = false;
};

// The pieces of a file.
class RawBodyFormat final : public StreamFormat {
 public:
  explicit RawBodyFormat(const Route& route)
      : status_(route.success_status),
        content_type_(*route.method->output_type()->FindFieldByName("content_type")),
        data_(*route.method->output_type()->FindFieldByName("data")) {}

  HttpAnswer Head() override {
    return {status_, {{"Content-Type", type_}, {"Cache-Control", "no-store"}}, {}};
  }
  std::optional<std::string> Event(const Message& message) override {
    const auto& reflection = *message.GetReflection();
    if (type_.empty()) type_ = reflection.GetString(message, &content_type_);
    return reflection.GetString(message, &data_);
  }
  std::optional<std::string> End() override { return std::string(); }
  // Half a file must not look whole.
  std::optional<std::string> ErrorEvent(const ApiError&, const std::string&) override {
    return std::nullopt;
  }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) override {
    return ErrorAnswer(error, request_id);
  }
  absl::string_view Heartbeat() override { return {}; }

 private:
  const int status_;
  const FieldDescriptor& content_type_;
  const FieldDescriptor& data_;
  std::string type_;
};

}  // namespace

std::unique_ptr<UnaryFormat> MakeContractFormat(const Route& route) {
  return std::make_unique<JsonFormat>(route.success_status);
}

std::unique_ptr<StreamFormat> MakeEventStreamFormat(const Route& route) {
  return std::make_unique<EventStreamFormat>(route);
}

std::unique_ptr<StreamFormat> MakePlainTextFormat(const Route& route) {
  return std::make_unique<PlainTextFormat>(route);
}

std::unique_ptr<StreamFormat> MakeRawBodyFormat(const Route& route) {
  return std::make_unique<RawBodyFormat>(route);
}

}  // namespace aibackend::gateway
