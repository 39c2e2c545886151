// Many callers of Retrieve over gRPC, from one thread and with as little CPU as can be: requests
// are serialized beforehand, and of the answers only the first is read.
//
//   retrieve_load TARGET COLLECTION MODE CALLERS SECONDS < queries, one a line
//
// Prints one line of JSON: requests, seconds, p50_ms, p99_ms, failed, matches (of the first
// answer).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "aibackend/v1/documents.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/proto_utils.h"

namespace {

namespace v1 = aibackend::v1;
using Clock = std::chrono::steady_clock;

constexpr char kMethod[] = "/aibackend.v1.AiBackend/Retrieve";
constexpr int kTopK = 10;

struct Caller {
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer answer;
  grpc::Status status;
  Clock::time_point started;
};

std::vector<grpc::ByteBuffer> Requests(const std::string& collection, const std::string& mode) {
  std::vector<grpc::ByteBuffer> requests;
  for (std::string query; std::getline(std::cin, query);) {
    v1::RetrieveRequest request;
    request.set_query(query);
    request.set_collection(collection);
    request.set_mode(mode);
    request.set_top_k(kTopK);
    const grpc::Slice slice(request.SerializeAsString());
    requests.emplace_back(&slice, 1);
  }
  return requests;
}

class Load {
 public:
  Load(const std::string& target, std::vector<grpc::ByteBuffer> requests, size_t callers)
      : stub_(grpc::CreateChannel(target, grpc::InsecureChannelCredentials())),
        requests_(std::move(requests)),
        callers_(callers) {}

  void Run(Clock::duration time) {
    const auto begin = Clock::now();
    const auto end = begin + time;
    for (Caller& caller : callers_) Start(caller);
    size_t running = callers_.size();
    void* tag = nullptr;
    bool ok = false;
    while (running > 0 && queue_.Next(&tag, &ok)) {
      Caller& caller = *static_cast<Caller*>(tag);
      const auto now = Clock::now();
      Count(caller, now);
      if (now < end) {
        Start(caller);
      } else {
        --running;
      }
    }
    seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
  }

  void Print() {
    std::sort(times_ms_.begin(), times_ms_.end());
    const auto at = [&](double share) {
      return times_ms_.empty() ? 0.0
                               : times_ms_[static_cast<size_t>(share * (times_ms_.size() - 1))];
    };
    std::printf(
        "{\"requests\": %zu, \"seconds\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"failed\": "
        "%zu, \"matches\": %d}\n",
        times_ms_.size(), seconds_, at(0.5), at(0.99), failed_, matches_);
  }

 private:
  void Start(Caller& caller) {
    caller.context = std::make_unique<grpc::ClientContext>();
    caller.answer.Clear();
    caller.started = Clock::now();
    caller.reader = stub_.PrepareUnaryCall(caller.context.get(), kMethod,
                                           requests_[next_++ % requests_.size()], &queue_);
    caller.reader->StartCall();
    caller.reader->Finish(&caller.answer, &caller.status, &caller);
  }

  void Count(Caller& caller, Clock::time_point now) {
    times_ms_.push_back(std::chrono::duration<double, std::milli>(now - caller.started).count());
    if (!caller.status.ok()) ++failed_;
    if (matches_ >= 0 || !caller.status.ok()) return;
    v1::RetrieveResponse response;
    (void)grpc::SerializationTraits<google::protobuf::Message>::Deserialize(&caller.answer,
                                                                            &response);
    matches_ = response.matches_size();
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  const std::vector<grpc::ByteBuffer> requests_;
  std::vector<Caller> callers_;
  size_t next_ = 0;
  std::vector<double> times_ms_;
  size_t failed_ = 0;
  int matches_ = -1;
  double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s TARGET COLLECTION MODE CALLERS SECONDS < queries\n", argv[0]);
    return 2;
  }
  auto requests = Requests(argv[2], argv[3]);
  if (requests.empty()) return 2;
  Load load(argv[1], std::move(requests), std::stoul(argv[4]));
  load.Run(std::chrono::seconds(std::stoul(argv[5])));
  load.Print();
  return 0;
}
