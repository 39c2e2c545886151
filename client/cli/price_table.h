// Prices as a table.
#pragma once

#include <string>
#include <vector>

#include "aibackend/v1/usage.pb.h"

namespace aibackend::cli {

// The heading of PriceRow's columns. US dollars for a million tokens.
std::vector<std::string> PriceHeading();
std::vector<std::string> PriceRow(const v1::Price& price);

}  // namespace aibackend::cli
