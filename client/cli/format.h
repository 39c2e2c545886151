// What the tables have in common: times, money, pages.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "client/cli/session.h"
#include "google/protobuf/timestamp.pb.h"

namespace aibackend::cli {

inline constexpr int kPageSizeDefault = 100;
inline constexpr int kPageSizeMax = 1000;  // the service's bound on page_size

// "2024-05-01 13:45:07" in the local time zone; "-" where none is set.
std::string FormatTime(const google::protobuf::Timestamp& time);

// Thousand-millionths of a dollar, exactly: "$0.000012300".
std::string FormatUsd(int64_t nano_usd);
// The same without zeros at its end, but for cents: "$0.15".
std::string FormatUsdShort(int64_t nano_usd);

// What a request cost; "?" where that isn't known, which is not nothing.
std::string FormatCost(const v1::RequestLog& log);

// Fetches pages with `fetch(request)` until `limit` items are there or no more exist. `take(page)`
// keeps a page and returns how many items it had. False: a page failed, which is printed.
template <class Request, class Fetch, class Take>
bool ListPages(Session& session, Request request, int limit, const Fetch& fetch, const Take& take) {
  while (limit > 0) {
    request.set_page_size(std::min(limit, kPageSizeMax));
    const auto page = fetch(request);
    if (!page.ok()) {
      session.Fail(page.error());
      return false;
    }
    const int count = take(*page);
    if (page->next_page_token().empty() || count == 0) break;
    limit -= count;
    request.set_page_token(page->next_page_token());
  }
  return true;
}

}  // namespace aibackend::cli
