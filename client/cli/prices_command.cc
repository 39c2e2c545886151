// aibackend prices set|list
#include <memory>
#include <optional>

#include "CLI/CLI.hpp"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/cli/options.h"
#include "client/cli/price_table.h"

namespace aibackend::cli {
namespace {

struct PriceArguments {
  std::string model;
  std::optional<int64_t> input;
  std::optional<int64_t> output;
  std::optional<int64_t> cached_input;
  std::optional<int64_t> reasoning;
  bool history = false;
  bool json = false;
};

void RunSet(Session& session, const PriceArguments& arguments) {
  v1::SetPriceRequest request;
  request.set_model(arguments.model);
  if (arguments.input) request.set_input_nano_usd_per_million(*arguments.input);
  if (arguments.output) request.set_output_nano_usd_per_million(*arguments.output);
  if (arguments.cached_input) {
    request.set_cached_input_nano_usd_per_million(*arguments.cached_input);
  }
  if (arguments.reasoning) request.set_reasoning_nano_usd_per_million(*arguments.reasoning);
  const auto price = session.client().SetPrice(request, session.Options());
  if (!price.ok()) return session.Fail(price.error());
  if (arguments.json) return session.out.Write(ToJson(*price));
  session.out.Table({PriceHeading(), PriceRow(*price)});
}

void RunList(Session& session, const PriceArguments& arguments) {
  v1::ListPricesRequest request;
  request.set_model(arguments.model);
  request.set_history(arguments.history);
  const auto response = session.client().ListPrices(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  if (arguments.json) return session.out.Write(ToJson(*response));
  std::vector<std::vector<std::string>> rows = {PriceHeading()};
  for (const auto& price : response->prices()) rows.push_back(PriceRow(price));
  session.out.Table(rows);
}

}  // namespace

void AddPricesCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PriceArguments>();
  auto& prices = *app.add_subcommand("prices", "Sets and lists what models cost");
  prices.require_subcommand(1);

  auto& set = *prices.add_subcommand(
      "set", "Sets a model's price from now on, in US dollars for a million tokens");
  set.add_option("model", arguments->model, "As `aibackend models` lists it")->required();
  AddUsd(set, "--input", arguments->input, "For tokens of prompts")->required();
  AddUsd(set, "--output", arguments->output, "For tokens of answers")->required();
  AddUsd(set, "--cached-input", arguments->cached_input,
         "For those of prompts that the model server had cached (default: as --input)");
  AddUsd(set, "--reasoning", arguments->reasoning,
         "For those of reasoning that isn't part of an answer (default: as --output)");
  AddJson(set, arguments->json);
  set.callback([arguments, &session] { RunSet(session, *arguments); });

  auto& list = *prices.add_subcommand("list", "Lists prices by model");
  list.add_option("model", arguments->model, "Only this one's");
  list.add_flag("--history", arguments->history, "Also those that were replaced");
  AddJson(list, arguments->json);
  list.callback([arguments, &session] { RunList(session, *arguments); });
}

}  // namespace aibackend::cli
