// What every subcommand works with: the global options, the client, the output, the exit code.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "client/cli/output.h"
#include "client/client.h"
#include "google/protobuf/message.h"

namespace aibackend::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitServiceError = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;  // as shells say it: 128 + SIGINT

// Owned by main; lives as long as the program. For one thread at a time, but for client().
class Session {
 public:
  // Filled in by the command line's parser before a subcommand runs.
  std::string server = "127.0.0.1:50051";
  std::optional<double> timeout_s;
  std::string request_id;
  // Empty: AIB_API_KEY's. Never printed.
  std::string api_key;

  Output out;
  int exit_code = kExitOk;

  // Connects on first use: a subcommand that blocks signals does so before gRPC starts threads.
  client::Client& client();

  // --timeout, and for the first call --request-id: an id names one call.
  client::CallOptions Options(client::Cancellation* cancellation = nullptr);

  // Prints the error and sets the exit code.
  void Fail(const client::ClientError& error);
  void FailUsage(std::string_view message);
  void FailUsage(const absl::Status& status);

 private:
  std::unique_ptr<client::Client> client_;
};

// As the REST side writes it: snake_case names, defaults printed; indented, with a newline.
std::string ToJson(const google::protobuf::Message& message);

}  // namespace aibackend::cli
