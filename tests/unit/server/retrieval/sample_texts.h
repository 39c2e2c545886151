// Made-up documents: enough of them, and alike enough, for an embedding to be fitted.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/retrieval/document.h"

namespace aibackend::retrieval {

// A text of 40 words about topic `i % 8`; each holds the word "u<i>" (too short for pieces of
// words) once.
inline std::string SampleText(int i) {
  static const std::vector<std::vector<std::string>> topics = {
      {"wing", "flow", "pressure", "boundary", "layer", "drag", "airfoil", "supersonic"},
      {"library", "catalogue", "index", "book", "reader", "classification", "journal", "archive"},
      {"virus", "infection", "vaccine", "patient", "fever", "immune", "hospital", "symptom"},
      {"river", "mountain", "valley", "glacier", "lake", "forest", "climate", "rainfall"},
      {"engine", "piston", "valve", "fuel", "cylinder", "torque", "gear", "exhaust"},
      {"market", "price", "trade", "tax", "bank", "credit", "inflation", "currency"},
      {"opera", "violin", "symphony", "composer", "chord", "melody", "rhythm", "concert"},
      {"king", "parliament", "treaty", "army", "empire", "siege", "throne", "duke"}};
  std::mt19937 random(static_cast<unsigned>(i));
  const auto& words = topics[static_cast<size_t>(i) % topics.size()];
  std::string text = absl::StrCat("Report u", i, " tells of");
  for (int w = 0; w < 40; ++w) {
    absl::StrAppend(&text, " ", words[std::uniform_int_distribution<size_t>(0, 7)(random)]);
  }
  return text + ".";
}

inline DocumentPtr SampleDocument(int i) {
  auto document = std::make_shared<Document>();
  document->seq = i + 1;
  document->id = absl::StrCat("d", i);
  document->text = SampleText(i);
  document->chunks = CutIntoChunks(document->text);
  return document;
}

}  // namespace aibackend::retrieval
