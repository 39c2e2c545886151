#include "server/rpc/prices_rpc.h"

#include "server/rpc/call.h"
#include "server/rpc/convert.h"

namespace aibackend::rpc {
namespace {

absl::StatusOr<usage::PriceValues> ToValues(const v1::SetPriceRequest& request) {
  const auto missing = [](const char* field) {
    return MakeError(Reason::FIELD_REQUIRED, "is missing: nano-USD for a million tokens", field);
  };
  if (!request.has_input_nano_usd_per_million()) return missing("input_nano_usd_per_million");
  if (!request.has_output_nano_usd_per_million()) return missing("output_nano_usd_per_million");
  usage::PriceValues values;
  values.input = request.input_nano_usd_per_million();
  values.output = request.output_nano_usd_per_million();
  if (request.has_cached_input_nano_usd_per_million()) {
    values.cached_input = request.cached_input_nano_usd_per_million();
  }
  if (request.has_reasoning_nano_usd_per_million()) {
    values.reasoning = request.reasoning_nano_usd_per_million();
  }
  return values;
}

// The id that the price is kept by; a name that is none is most likely a slip.
absl::StatusOr<std::string> ModelIdOf(const Core& core, const std::string& name) {
  if (name.empty()) return MakeError(Reason::FIELD_REQUIRED, "model is missing", "model");
  if (const auto embedding = core.models.FindEmbedding(name); embedding.ok()) {
    return (*embedding)->info().id;
  }
  AIB_ASSIGN_OR_RETURN(const models::LanguageModel* const model, core.models.Find(name));
  return model->info().id;
}

}  // namespace

void Fill(const usage::Price& price, v1::Price* out) {
  out->set_model(price.model);
  out->set_version(price.version);
  FillTime(price.effective_at, out->mutable_effective_at());
  out->set_input_nano_usd_per_million(price.values.input);
  out->set_output_nano_usd_per_million(price.values.output);
  if (price.values.cached_input) {
    out->set_cached_input_nano_usd_per_million(*price.values.cached_input);
  }
  if (price.values.reasoning) out->set_reasoning_nano_usd_per_million(*price.values.reasoning);
  out->set_source(usage::PriceSourceName(price.source));
}

grpc::ServerUnaryReactor* SetPrice(Core& core, grpc::CallbackServerContext& context,
                                   const v1::SetPriceRequest& request, v1::Price* response) {
  return (new BlockingCall(core, context, "SetPrice"))
      ->Record(request.model())
      ->Run([&core, &request, response](Call&) {
        AIB_ASSIGN_OR_RETURN(const std::string model, ModelIdOf(core, request.model()));
        AIB_ASSIGN_OR_RETURN(const usage::PriceValues values, ToValues(request));
        AIB_ASSIGN_OR_RETURN(const usage::Price price,
                             core.prices.Set(model, values, usage::PriceSource::kApi));
        Fill(price, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ListPrices(Core& core, grpc::CallbackServerContext& context,
                                     const v1::ListPricesRequest& request,
                                     v1::ListPricesResponse* response) {
  return (new BlockingCall(core, context, "ListPrices"))->Run([&core, &request, response](Call&) {
    AIB_ASSIGN_OR_RETURN(const auto prices, core.prices.List(request.model(), request.history()));
    for (const usage::Price& price : prices) Fill(price, response->add_prices());
    return absl::OkStatus();
  });
}

}  // namespace aibackend::rpc
