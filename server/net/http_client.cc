#include "server/net/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/net/transfer.h"

namespace aibackend::net {
namespace {

constexpr int kEventsPerWait = 256;
// curl's handles kept for the next request: enough for a burst, a few KB each.
constexpr size_t kSpareHandlesMax = 256;

void InitCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

absl::Status Cancelled() {
  return MakeError(Reason::CANCELLED, "the call was cancelled");
}

struct Command {
  uint64_t id = 0;
  bool cancel = false;  // else: start
  HttpRequest request;
  std::shared_ptr<HttpHandler> handler;
};

// What other threads hand to the event thread. Thread-safe; outlives the client for the sake of
// calls that do.
class Mailbox {
 public:
  Mailbox() : wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Mailbox() { close(wake_fd_); }

  void Post(Command command) {
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
      commands_.push_back(std::move(command));
      if (commands_.size() > 1) return;  // the thread is awake, or about to be
    }
    Wake();
  }
  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
  }
  std::vector<Command> Take() {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
    std::vector<Command> taken;
    absl::MutexLock lock(&mutex_);
    taken.swap(commands_);
    return taken;
  }
  // True: nothing waits, and nothing will.
  bool CloseIfEmpty() {
    absl::MutexLock lock(&mutex_);
    closed_ = commands_.empty();
    return closed_;
  }
  int wake_fd() const { return wake_fd_; }

 private:
  const int wake_fd_;
  absl::Mutex mutex_;
  std::vector<Command> commands_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

class Call final : public HttpCall {
 public:
  Call(uint64_t id, std::shared_ptr<Mailbox> mailbox) : id_(id), mailbox_(std::move(mailbox)) {}
  void Cancel() override {
    if (cancelled_.exchange(true)) return;
    Command command;
    command.id = id_;
    command.cancel = true;
    mailbox_->Post(std::move(command));
  }

 private:
  const uint64_t id_;
  const std::shared_ptr<Mailbox> mailbox_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace

// The event loop. Everything below `mailbox_` belongs to the event thread.
struct HttpClient::Impl {
  explicit Impl(const Options& options);
  ~Impl();

  std::shared_ptr<HttpCall> Start(HttpRequest request, std::shared_ptr<HttpHandler> handler);

 private:
  using Deadlines = std::set<std::pair<absl::Time, Transfer*>>;

  void Run();
  void Wait();
  void RunCommands();
  void Begin(Command command);
  void CancelAll();
  void ReapFinished();
  void ExpireDeadlines();
  void File(Transfer& transfer, absl::Time now);
  void Finish(Transfer& transfer, absl::Status status);
  CURL* TakeHandle();
  void RecycleHandle(CURL* easy);
  void SetConnectionsKept();
  int WaitMilliseconds() const;

  static int OnSocket(CURL* easy, curl_socket_t fd, int what, void* self, void* known);
  static int OnTimer(CURLM* multi, long timeout_ms, void* self);

  const Options options_;
  std::atomic<uint64_t> next_id_{1};
  std::atomic<bool> stopping_{false};
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();

  CURLM* const multi_;
  const int epoll_fd_;
  absl::Time curl_timer_ = absl::InfiniteFuture();
  absl::flat_hash_map<uint64_t, std::unique_ptr<Transfer>> transfers_;
  Deadlines deadlines_;
  std::vector<CURL*> spare_handles_;

  std::thread thread_;
};

HttpClient::Impl::Impl(const Options& options)
    : options_(options),
      multi_((InitCurlOnce(), curl_multi_init())),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) {
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Impl::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Impl::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                    static_cast<long>(options_.connections_max));
  SetConnectionsKept();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = mailbox_->wake_fd();
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, mailbox_->wake_fd(), &event);
  thread_ = std::thread([this] { Run(); });
}

HttpClient::Impl::~Impl() {
  stopping_ = true;
  mailbox_->Wake();
  thread_.join();
  for (CURL* easy : spare_handles_) curl_easy_cleanup(easy);
  curl_multi_cleanup(multi_);
  close(epoll_fd_);
}

std::shared_ptr<HttpCall> HttpClient::Impl::Start(HttpRequest request,
                                                  std::shared_ptr<HttpHandler> handler) {
  Command command;
  command.id = next_id_.fetch_add(1);
  command.request = std::move(request);
  command.handler = std::move(handler);
  auto call = std::make_shared<Call>(command.id, mailbox_);
  mailbox_->Post(std::move(command));
  return call;
}

void HttpClient::Impl::Run() {
  // Signals are the main thread's. SIGPIPE above all: OpenSSL writes without MSG_NOSIGNAL.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), "aib-net");
  while (!stopping_) {
    Wait();
    RunCommands();
    ReapFinished();
    ExpireDeadlines();
  }
  do {
    RunCommands();  // what was queued still gets its OnDone
    CancelAll();
  } while (!mailbox_->CloseIfEmpty());
}

void HttpClient::Impl::Wait() {
  std::array<epoll_event, kEventsPerWait> events;
  const int count = epoll_wait(epoll_fd_, events.data(), kEventsPerWait, WaitMilliseconds());
  int running = 0;
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == mailbox_->wake_fd()) continue;  // RunCommands() looks anyway
    const uint32_t got = events[i].events;
    int mask = 0;
    if (got & EPOLLIN) mask |= CURL_CSELECT_IN;
    if (got & EPOLLOUT) mask |= CURL_CSELECT_OUT;
    if (got & (EPOLLERR | EPOLLHUP)) mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi_, events[i].data.fd, mask, &running);
  }
  if (SteadyNow() >= curl_timer_) {
    curl_timer_ = absl::InfiniteFuture();  // OnTimer() sets the next one from inside the call
    curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

int HttpClient::Impl::WaitMilliseconds() const {
  absl::Time next = curl_timer_;
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  if (next == absl::InfiniteFuture()) return -1;
  const absl::Duration wait = absl::Ceil(next - SteadyNow(), absl::Milliseconds(1));
  return static_cast<int>(
      std::min<int64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(wait), 0), 60'000));
}

int HttpClient::Impl::OnTimer(CURLM* multi, long timeout_ms, void* self) {
  static_cast<Impl*>(self)->curl_timer_ =
      timeout_ms < 0 ? absl::InfiniteFuture() : SteadyNow() + absl::Milliseconds(timeout_ms);
  return 0;
}

int HttpClient::Impl::OnSocket(CURL* easy, curl_socket_t fd, int what, void* self, void* known) {
  auto* impl = static_cast<Impl*>(self);
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(impl->epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
    return 0;
  }
  epoll_event event{};
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  event.data.fd = fd;
  if (epoll_ctl(impl->epoll_fd_, known != nullptr ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) !=
      0) {
    // The number was reused for a new socket, or curl kept a socket it had told us to drop.
    epoll_ctl(impl->epoll_fd_, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
  }
  curl_multi_assign(impl->multi_, fd, impl);  // any value but null: "epoll knows it"
  return 0;
}

void HttpClient::Impl::RunCommands() {
  for (Command& command : mailbox_->Take()) {
    if (!command.cancel) {
      Begin(std::move(command));
    } else if (auto found = transfers_.find(command.id); found != transfers_.end()) {
      Finish(*found->second, Cancelled());
    }
  }
}

void HttpClient::Impl::Begin(Command command) {
  const absl::Time now = SteadyNow();
  auto owned = std::make_unique<Transfer>(command.id, std::move(command.request),
                                          std::move(command.handler), now);
  Transfer& transfer = *owned;
  transfers_.emplace(command.id, std::move(owned));
  File(transfer, now);
  SetConnectionsKept();
  if (absl::Status status = transfer.Prepare(TakeHandle()); !status.ok()) {
    return Finish(transfer, std::move(status));
  }
  if (const CURLMcode code = curl_multi_add_handle(multi_, transfer.easy()); code != CURLM_OK) {
    Finish(transfer, MakeError(Reason::INTERNAL, curl_multi_strerror(code)));
  }
}

void HttpClient::Impl::CancelAll() {
  while (!transfers_.empty()) Finish(*transfers_.begin()->second, Cancelled());
}

void HttpClient::Impl::ReapFinished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* self = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &self);
    auto& transfer = *reinterpret_cast<Transfer*>(self);
    Finish(transfer, transfer.Outcome(code));
  }
}

void HttpClient::Impl::ExpireDeadlines() {
  const absl::Time now = SteadyNow();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Transfer& transfer = *deadlines_.begin()->second;
    if (absl::Status status = transfer.Expire(now); !status.ok()) {
      Finish(transfer, std::move(status));
      continue;
    }
    deadlines_.erase(deadlines_.begin());
    File(transfer, now);
  }
}

void HttpClient::Impl::File(Transfer& transfer, absl::Time now) {
  transfer.next_check = transfer.NextCheck(now);
  deadlines_.emplace(transfer.next_check, &transfer);
}

void HttpClient::Impl::Finish(Transfer& transfer, absl::Status status) {
  deadlines_.erase({transfer.next_check, &transfer});
  CURL* easy = transfer.easy();
  curl_multi_remove_handle(multi_, easy);  // closes the connection unless the response is complete
  std::unique_ptr<Transfer> owned = std::move(transfers_.extract(transfer.id()).mapped());
  RecycleHandle(easy);
  SetConnectionsKept();
  owned->handler().OnDone(std::move(status));
}

CURL* HttpClient::Impl::TakeHandle() {
  if (spare_handles_.empty()) return curl_easy_init();
  CURL* easy = spare_handles_.back();
  spare_handles_.pop_back();
  return easy;
}

void HttpClient::Impl::RecycleHandle(CURL* easy) {
  if (spare_handles_.size() >= kSpareHandlesMax) return curl_easy_cleanup(easy);
  curl_easy_reset(easy);  // keeps the TLS sessions
  spare_handles_.push_back(easy);
}

// curl's limit counts the connections in use too, and closes idle ones when those alone exceed it.
void HttpClient::Impl::SetConnectionsKept() {
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS,
                    static_cast<long>(transfers_.size() + options_.idle_connections_max));
}

HttpClient::HttpClient(Options options) : impl_(std::make_unique<Impl>(options)) {}
HttpClient::~HttpClient() = default;

std::shared_ptr<HttpCall> HttpClient::Start(HttpRequest request,
                                            std::shared_ptr<HttpHandler> handler) {
  return impl_->Start(std::move(request), std::move(handler));
}

}  // namespace aibackend::net
