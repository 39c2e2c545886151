// What a rule costs for each byte of a text: prose, and what is made to be slow.
#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "server/guard/guardrails.h"

namespace aibackend::guard {
namespace {

constexpr size_t kBytes = 1 << 20;

std::string Repeated(absl::string_view piece) {
  std::string text;
  while (text.size() < kBytes) absl::StrAppend(&text, piece);
  return text;
}

void Run(benchmark::State& state, const std::string& text) {
  Rule mail;
  mail.name = "mail";
  mail.kind = Rule::Kind::kEmail;
  mail.action = Rule::Action::kMask;
  Rule pattern = mail;
  pattern.name = "pattern";
  pattern.kind = Rule::Kind::kRegex;
  pattern.pattern = R"([A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,})";
  const Guardrails rails = Guardrails::Build({mail, pattern}).value();
  for (auto _ : state) {
    Outcomes outcomes;
    std::string guarded = text;
    benchmark::DoNotOptimize(GuardWhole(rails.input(), outcomes, guarded));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}

void BM_GuardProse(benchmark::State& state) {
  Run(state,
      Repeated("Green turtles swim 2,000 km to nest; write to ann@example.com, she knows. "));
}
BENCHMARK(BM_GuardProse)->Unit(benchmark::kMillisecond);

// Each byte may be the beginning of an address.
void BM_GuardUnbrokenRun(benchmark::State& state) {
  Run(state, std::string(kBytes, 'a'));
}
BENCHMARK(BM_GuardUnbrokenRun)->Unit(benchmark::kMillisecond);

// And is one, but too long.
void BM_GuardLongAddresses(benchmark::State& state) {
  Run(state, Repeated(absl::StrCat(std::string(1000, 'a'), "@b.de ")));
}
BENCHMARK(BM_GuardLongAddresses)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace aibackend::guard
