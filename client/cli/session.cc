#include "client/cli/session.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "google/protobuf/util/json_util.h"

namespace aibackend::cli {
namespace {

// A secret that was read from a file into the variable often has its newline still.
std::string KeyOfEnvironment() {
  const char* key = std::getenv("AIB_API_KEY");
  return key == nullptr ? std::string() : std::string(absl::StripAsciiWhitespace(key));
}

}  // namespace

client::Client& Session::client() {
  if (client_ == nullptr) {
    client::ClientOptions options;
    options.api_key = api_key.empty() ? KeyOfEnvironment() : api_key;
    client_ = client::Client::Connect(server, std::move(options));
  }
  return *client_;
}

client::CallOptions Session::Options(client::Cancellation* cancellation) {
  client::CallOptions options;
  if (timeout_s) options.timeout = absl::Seconds(*timeout_s);
  options.request_id = std::exchange(request_id, {});
  options.cancellation = cancellation;
  return options;
}

void Session::Fail(const client::ClientError& error) {
  out.Error(error);
  exit_code = kExitServiceError;
}

void Session::FailUsage(std::string_view message) {
  out.Error(message);
  exit_code = kExitUsage;
}

void Session::FailUsage(const absl::Status& status) {
  FailUsage(std::string_view(status.message().data(), status.message().size()));
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : status.ToString() + "\n";
}

}  // namespace aibackend::cli
