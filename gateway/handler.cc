#include "gateway/handler.h"

#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/transcode/error.h"
#include "gateway/transcode/metadata.h"
#include "gateway/transcode/request_reader.h"

namespace aibackend::gateway {
namespace {

// A server that doesn't answer a health check in this time is as good as none.
constexpr absl::Duration kHealthTimeout = absl::Seconds(2);
constexpr char kFixedAllow[] = "GET, HEAD, OPTIONS";

void RespondJson(Exchange& exchange, std::string body) {
  exchange.Respond(200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
                   std::move(body));
}

ApiError MethodError(const std::string& allow) {
  return MakeApiError(Reason::METHOD_NOT_ALLOWED, absl::StrCat("this path answers ", allow));
}

// 204 to OPTIONS, otherwise `refusal`; both say what the path answers.
void RespondAllow(Exchange& exchange, const std::string& allow, HttpAnswer refusal) {
  if (exchange.request().method == "OPTIONS") return exchange.Respond(204, {{"Allow", allow}}, "");
  refusal.headers.emplace_back("Allow", allow);
  exchange.Respond(refusal.status, std::move(refusal.headers), std::move(refusal.body));
}

void RespondAllow(Exchange& exchange, const std::string& allow, const std::string& request_id) {
  const ApiError error = MethodError(allow);
  RespondAllow(exchange, allow,
               {error.http_status, ErrorHeaders(error), ErrorJson(error, request_id)});
}

// A page of another site makes the reader's browser send this. What its address protects, such as a
// service on loopback, would not be protected from there: forms, plain posts and images need no
// permission. Browsers say where a request comes from (www.w3.org/TR/fetch-metadata), to HTTPS and
// loopback at least; older ones, and to other addresses, only by the Origin of what isn't a GET.
bool IsCrossOrigin(const httplib::Request& request) {
  const std::string site = request.get_header_value("Sec-Fetch-Site");
  if (site == "same-origin") return false;  // also where a proxy gives the request another Host
  // A GET too, which may cost tokens; but a link that a person follows is no such page's doing.
  if (site == "cross-site" && request.get_header_value("Sec-Fetch-Mode") != "navigate") return true;
  if (request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS")
    return false;
  if (!request.has_header("Origin")) return false;
  const std::string origin = request.get_header_value("Origin");  // scheme://host[:port], or null
  const size_t scheme = origin.find("://");
  return scheme == std::string::npos ||
         origin.substr(scheme + 3) != request.get_header_value("Host");
}

// An error in a dialect's shape.
void Refuse(Exchange& exchange, const Dialect& dialect, const ApiError& error,
            const std::string& request_id) {
  HttpAnswer answer = dialect.Error(error, request_id);
  exchange.Respond(answer.status, std::move(answer.headers), std::move(answer.body));
}

ApiError CrossOriginError() {
  return MakeApiError(Reason::CROSS_ORIGIN_REFUSED,
                      "a page of another site may not call this service");
}

ApiError NotReadyError(const grpc::Status& status) {
  const bool reached = status.error_code() == grpc::StatusCode::FAILED_PRECONDITION ||
                       status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
  return reached ? MakeApiError(Reason::NOT_READY, "the server behind the gateway is not ready")
                 : MakeApiError(Reason::SERVER_UNREACHABLE,
                                "the server behind the gateway cannot be reached");
}

}  // namespace

Handler::Handler(const RouteTable& routes, Upstream& upstream, const CallOptions& options,
                 std::vector<std::unique_ptr<Dialect>> dialects, std::string openapi,
                 std::function<EdgeStats()> stats, const otlp::Tracer& tracer)
    : routes_(routes),
      upstream_(upstream),
      options_(options),
      tracer_(tracer),
      dialects_(std::move(dialects)),
      openapi_text_(std::move(openapi)),
      openapi_(openapi_text_, "application/json"),
      docs_(DocsAssets()),
      unmatched_(metrics_.AddUnmatched()) {
  for (const auto& route : routes_.routes())
    route_metrics_.push_back(&metrics_.Add(route->http_method, route->path));

  AddFixed("/health", metrics_.Add("GET", "/health"),
           [](auto exchange, const std::string&) { RespondJson(*exchange, R"({"status":"ok"})"); });
  AddFixed("/ready", metrics_.Add("GET", "/ready"),
           [this](auto exchange, const std::string& request_id) {
             Ready(std::move(exchange), request_id);
           });
  AddFixed("/metrics", metrics_.Add("GET", "/metrics"),
           [this, stats = std::move(stats)](auto exchange, const std::string&) {
             exchange->Respond(200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
                               metrics_.Text(stats(), tracer_.dropped()));
           });
  AddDocs();
  for (const auto& dialect : dialects_) AddDialect(*dialect);
}

void Handler::AddDialect(const Dialect& dialect) {
  for (const DialectRoute& route : dialect.routes()) {
    DialectPath& path = dialect_paths_[route.path];
    path.dialect = &dialect;
    path.methods[route.http_method] = &route;
    path.metrics = &metrics_.Add(route.http_method, route.path);
  }
}

const Handler::DialectPath* Handler::FindDialectPath(absl::string_view path,
                                                     std::string* rest) const {
  const auto at = [this](absl::string_view text) -> const DialectPath* {
    const auto found = dialect_paths_.find(std::string_view(text.data(), text.size()));
    return found == dialect_paths_.end() ? nullptr : &found->second;
  };
  if (const DialectPath* exact = at(path)) return exact;
  // The longest path of those that end in a slash. Model names may have slashes of their own.
  for (size_t slash = path.rfind('/'); slash != absl::string_view::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    const DialectPath* below = at(path.substr(0, slash + 1));
    if (below == nullptr) continue;
    const auto decoded = PercentDecode(path.substr(slash + 1), /*plus_is_space=*/false);
    if (!decoded || decoded->empty()) return nullptr;
    *rest = *decoded;
    return below;
  }
  return nullptr;
}

void Handler::AnswerDialect(const DialectPath& path, std::string rest,
                            std::shared_ptr<Exchange> exchange, const std::string& request_id) {
  exchange = Observe(std::move(exchange), request_id, *path.metrics);
  const std::string& method = exchange->request().method;
  if (IsCrossOrigin(exchange->request()))
    return Refuse(*exchange, *path.dialect, CrossOriginError(), request_id);
  const auto route = path.methods.find(method == "HEAD" ? "GET" : method);
  if (route != path.methods.end())
    return route->second->handle({std::move(exchange), request_id, std::move(rest)});
  std::set<std::string> allow = {"OPTIONS"};
  for (const auto& [known, unused] : path.methods) allow.insert(known);
  if (allow.count("GET")) allow.insert("HEAD");
  const std::string methods = absl::StrJoin(allow, ", ");
  RespondAllow(*exchange, methods, path.dialect->Error(MethodError(methods), request_id));
}

const Dialect* Handler::DialectAbove(absl::string_view path) const {
  for (const auto& [known, dialect_path] : dialect_paths_) {
    if (absl::StartsWith(path, absl::StrCat(known, "/"))) return dialect_path.dialect;
  }
  return nullptr;
}

void Handler::AddDocs() {
  const RouteMetrics& docs = metrics_.Add("GET", "/docs");  // with its parts, and what leads there
  AddFixed("/openapi.json", docs,
           [this](auto exchange, const std::string&) { RespondAsset(*exchange, openapi_); });
  for (const auto& [path, asset] : docs_) {
    AddFixed(path, docs, [&asset = asset](auto exchange, const std::string&) {
      RespondAsset(*exchange, asset);
    });
  }
  AddFixed("/", docs, [](auto exchange, const std::string&) {
    exchange->Respond(302, {{"Location", "/docs"}}, "");
  });
}

void Handler::AddFixed(const std::string& path, const RouteMetrics& metrics, Answer answer) {
  fixed_.emplace(path, Fixed{std::move(answer), &metrics});
}

std::shared_ptr<Exchange> Handler::Observe(std::shared_ptr<Exchange> exchange,
                                           const std::string& request_id,
                                           const RouteMetrics& metrics) {
  return std::make_shared<ObservedExchange>(std::move(exchange), request_id, metrics, live_,
                                            tracer_);
}

void Handler::Handle(std::shared_ptr<Exchange> exchange) {
  const httplib::Request& request = exchange->request();
  const Target target = SplitTarget(request.target);
  const std::string request_id = RequestIdOf(request);

  const auto fixed = fixed_.find(std::string_view(target.path.data(), target.path.size()));
  if (fixed != fixed_.end()) return AnswerFixed(fixed->second, std::move(exchange), request_id);

  std::string rest;
  if (const DialectPath* path = FindDialectPath(target.path, &rest))
    return AnswerDialect(*path, std::move(rest), std::move(exchange), request_id);

  const RouteTable::Found found = routes_.Find(request.method, target.path);
  if (IsCrossOrigin(request)) {
    exchange = Observe(std::move(exchange), request_id, unmatched_);
    return RespondError(*exchange, CrossOriginError(), request_id);
  }
  if (!found.route) return AnswerUnrouted(std::move(exchange), found, target.path, request_id);

  const Route& route = *found.route;
  exchange = Observe(std::move(exchange), request_id, *route_metrics_[route.index]);
  const std::unique_ptr<google::protobuf::Message> message(route.request_prototype->New());
  if (const auto refused = ReadRequest(route, found.segments, target.query, request, *message))
    return RespondError(*exchange, *refused, request_id);
  StartCall(std::move(exchange), route, *message, request_id, options_, upstream_);
}

void Handler::AnswerFixed(const Fixed& fixed, std::shared_ptr<Exchange> exchange,
                          const std::string& request_id) {
  exchange = Observe(std::move(exchange), request_id, *fixed.metrics);
  const std::string& method = exchange->request().method;
  if (method != "GET" && method != "HEAD") return RespondAllow(*exchange, kFixedAllow, request_id);
  fixed.answer(std::move(exchange), request_id);
}

void Handler::AnswerUnrouted(std::shared_ptr<Exchange> exchange, const RouteTable::Found& found,
                             absl::string_view path, const std::string& request_id) {
  exchange = Observe(std::move(exchange), request_id, unmatched_);
  if (!found.allow.empty())
    return RespondAllow(*exchange, absl::StrJoin(found.allow, ", "), request_id);
  const std::string nearest = routes_.Nearest(path);
  const std::string hint = nearest.empty() ? "" : absl::StrCat("did you mean ", nearest, "? ");
  const ApiError error = MakeApiError(
      Reason::ROUTE_NOT_FOUND,
      absl::StrCat("there is no such path; ", hint, "/docs and /openapi.json list all"));
  if (const Dialect* dialect = DialectAbove(path))
    return Refuse(*exchange, *dialect, error, request_id);
  RespondError(*exchange, error, request_id);
}

void Handler::Ready(std::shared_ptr<Exchange> exchange, const std::string& request_id) {
  if (draining_)
    return RespondError(*exchange, MakeApiError(Reason::DRAINING, "the gateway is shutting down"),
                        request_id);
  upstream_.CheckHealth(kHealthTimeout, [exchange, request_id](const grpc::Status& status) {
    if (status.ok()) return RespondJson(*exchange, R"({"status":"ready"})");
    RespondError(*exchange, NotReadyError(status), request_id);
  });
}

}  // namespace aibackend::gateway
