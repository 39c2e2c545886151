// The hop to the server: the only place that holds gRPC channels. Calls go by name and bytes, so
// that no RPC is known here; that also keeps the hop replaceable (one multiplexed stream would be
// cheaper than a call each).
//
// Several servers: addresses of one kind (IPv4, IPv6, unix) share one channel with round_robin and
// health checking, and calls of idempotent methods are retried on another server. Host names, or a
// mix, get a channel each, taken in turn, those that are connected first.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/transcode/live_count.h"
#include "gateway/transcode/route_table.h"

namespace aibackend::gateway {

// Both ways. Above the largest JSON body (16 MiB), as its protobuf can be larger, and above the
// largest document with its metadata.
inline constexpr int kMessageBytesMax = 32 * 1024 * 1024;

// Thread-safe.
//
// gRPC joins its callback threads when the last channel goes, and a call's context holds its
// channel: were the last context dropped on such a thread, it would join itself. So contexts come
// from NewContext, and the destructor blocks until all are gone: cancel what still runs before.
class Upstream {
 public:
  using StreamReactor = grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
  struct ContextRelease {
    LiveCount* live;
    void operator()(grpc::ClientContext* context) const {
      delete context;
      live->Remove();
    }
  };
  using Context = std::unique_ptr<grpc::ClientContext, ContextRelease>;

  // `servers`: host:port or unix:/path each. Connects in the background; fails on an empty list or
  // an address that can be none. `routes` says which methods may be retried: those with a GET.
  static absl::StatusOr<std::unique_ptr<Upstream>> Connect(const std::vector<std::string>& servers,
                                                           const RouteTable& routes);
  // For tests: channels of one's own.
  explicit Upstream(std::vector<std::shared_ptr<grpc::Channel>> channels);
  ~Upstream() { contexts_.WaitForNone(); }

  Context NewContext();

  // `context`, `request` and `response` must outlive `done`, which runs on a gRPC thread.
  void Unary(grpc::ClientContext* context, const std::string& method,
             const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
             std::function<void(grpc::Status)> done);

  // Binds `reactor` to a call; the caller then starts it. A server-streaming method takes one
  // message, written with StartWriteLast.
  void Stream(grpc::ClientContext* context, const std::string& method, StreamReactor* reactor);

  // Asks a server whether it serves (grpc.health.v1): OK, or why not.
  void CheckHealth(absl::Duration timeout, std::function<void(grpc::Status)> done);

 private:
  grpc::GenericStub& Pick();

  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;  // one for each channel
  std::atomic<size_t> turn_ = 0;
  LiveCount contexts_;
};

}  // namespace aibackend::gateway
