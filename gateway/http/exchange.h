// The Exchange of a connection's current request.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "gateway/http/connection.h"
#include "gateway/http/edge.h"

namespace aibackend::gateway::http {

// Shares its connection; the connection knows it by number only, so that dropping it is noticed.
class ConnectionExchange final : public Exchange {
 public:
  // `share` is what the body of `request` takes of the connection's budget.
  ConnectionExchange(std::shared_ptr<Connection> connection, Connection::Number number,
                     httplib::Request request, ByteBudget::Share share)
      : connection_(std::move(connection)),
        number_(number),
        request_(std::move(request)),
        share_(std::move(share)) {}
  ~ConnectionExchange() override { connection_->Drop(number_); }

  const httplib::Request& request() const override { return request_; }
  void Respond(int status, HeaderList headers, std::string body) override {
    connection_->Respond(number_, status, headers, std::move(body));
  }
  void Begin(int status, HeaderList headers) override {
    connection_->Begin(number_, status, headers);
  }
  bool Write(std::string data) override { return connection_->Write(number_, std::move(data)); }
  void End() override { connection_->End(number_); }
  void Abort() override { connection_->Abort(number_); }
  size_t pending_bytes() const override { return connection_->PendingBytes(number_); }
  void WhenPendingAtMost(size_t bytes, std::function<void()> callback) override {
    connection_->WhenPendingAtMost(number_, bytes, std::move(callback));
  }
  void WhenClientGone(std::function<void()> callback) override {
    connection_->WhenClientGone(number_, std::move(callback));
  }
  bool client_gone() const override { return connection_->ClientGone(number_); }
  void After(absl::Duration delay, std::function<void()> callback) override {
    connection_->After(number_, delay, std::move(callback));
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const Connection::Number number_;
  const httplib::Request request_;
  const ByteBudget::Share share_;
};

}  // namespace aibackend::gateway::http
