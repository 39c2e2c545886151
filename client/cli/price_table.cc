#include "client/cli/price_table.h"

#include "absl/strings/str_cat.h"
#include "client/cli/format.h"

namespace aibackend::cli {

std::vector<std::string> PriceHeading() {
  return {"MODEL", "VERSION", "SINCE", "INPUT/M", "CACHED/M", "OUTPUT/M", "REASONING/M", "SOURCE"};
}

std::vector<std::string> PriceRow(const v1::Price& price) {
  const int64_t cached = price.has_cached_input_nano_usd_per_million()
                             ? price.cached_input_nano_usd_per_million()
                             : price.input_nano_usd_per_million();
  const int64_t reasoning = price.has_reasoning_nano_usd_per_million()
                                ? price.reasoning_nano_usd_per_million()
                                : price.output_nano_usd_per_million();
  return {price.model(),
          absl::StrCat(price.version()),
          FormatTime(price.effective_at()),
          FormatUsdShort(price.input_nano_usd_per_million()),
          FormatUsdShort(cached),
          FormatUsdShort(price.output_nano_usd_per_million()),
          FormatUsdShort(reasoning),
          price.source()};
}

}  // namespace aibackend::cli
