#include "server/rpc/convert.h"

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"
#include "server/base/status.h"

namespace aibackend::rpc {
namespace {

const char* ModeName(retrieval::Mode mode) {
  switch (mode) {
    case retrieval::Mode::kHybrid:
      return "hybrid";
    case retrieval::Mode::kDense:
      return "dense";
    case retrieval::Mode::kLexical:
      return "lexical";
  }
  return "";
}

void FillError(v1::Error::Reason reason, const std::string& message, const std::string& field,
               v1::Error* out) {
  out->set_code(absl::StatusCodeToString(static_cast<absl::StatusCode>(MappingOf(reason).code())));
  out->set_reason(ReasonName(reason));
  out->set_message(message);
  out->set_field(field);
}

}  // namespace

void FillTime(absl::Time time, google::protobuf::Timestamp* out) {
  *out = google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(time));
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixMicros(google::protobuf::util::TimeUtil::TimestampToMicroseconds(time));
}

retrieval::CollectionId CollectionOf(const std::string& name, const std::string& tenant) {
  return {name.empty() ? std::string("default") : name, tenant};
}

absl::StatusOr<retrieval::Mode> ModeOf(const std::string& mode, const char* field) {
  if (mode.empty() || mode == "hybrid") return retrieval::Mode::kHybrid;
  if (mode == "dense") return retrieval::Mode::kDense;
  if (mode == "lexical") return retrieval::Mode::kLexical;
  return MakeError(Reason::MODE_UNKNOWN,
                   absl::StrCat("mode '", mode, "' is none of hybrid, dense, lexical"), field);
}

absl::StatusOr<retrieval::RetrieveQuery> ToQuery(const v1::RetrieveRequest& request,
                                                 const std::string& tenant) {
  retrieval::RetrieveQuery query;
  query.text = request.query();
  if (query.text.find_first_not_of(" \t\r\n") == std::string::npos) {
    return MakeError(Reason::FIELD_REQUIRED, "query must not be empty", "query");
  }
  if (query.text.size() > kQueryBytesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("query is longer than ", kQueryBytesMax, " bytes"), "query");
  }
  query.top_k = request.has_top_k() ? request.top_k() : kRetrieveTopKDefault;
  if (query.top_k < 1 || query.top_k > kRetrieveTopKMax) {
    return MakeError(
        Reason::TOP_K_OUT_OF_RANGE,
        absl::StrCat("top_k is ", query.top_k, "; it must be from 1 to ", kRetrieveTopKMax),
        "top_k");
  }
  AIB_ASSIGN_OR_RETURN(query.mode, ModeOf(request.mode(), "mode"));
  query.collection = CollectionOf(request.collection(), tenant);
  AIB_ASSIGN_OR_RETURN(query.min_score, MinScoreOf(request, "min_score"));
  AIB_ASSIGN_OR_RETURN(query.filter, retrieval::ParseFilter(request.filter(), "filter"));
  query.explain = request.explain();
  return query;
}

namespace {

void FillExplanation(const retrieval::Explanation& explanation,
                     v1::RetrieveResponse::Explanation* out) {
  for (const auto& leg : explanation.legs) {
    auto* row = out->add_legs();
    row->set_leg(leg.name);
    row->set_score(leg.score);
    row->set_normalised(leg.normalised);
    row->set_weight(leg.weight);
  }
  for (const auto& term : explanation.terms) {
    auto* row = out->add_terms();
    row->set_term(term.term);
    row->set_idf(term.idf);
    row->set_count(term.count);
    row->set_score(term.score);
  }
  out->set_fused(explanation.fused);
  out->set_neighbours(explanation.neighbours);
  out->set_neighbour_share(explanation.neighbour_share);
}

}  // namespace

void Fill(const retrieval::RetrieveResult& result, v1::RetrieveResponse* out) {
  for (const auto& match : result.matches) {
    out->add_documents(match.text);
    v1::RetrieveResponse::Match* row = out->add_matches();
    row->set_document_id(match.document_id);
    row->set_chunk_id(match.chunk_id);
    row->set_text(match.text);
    row->set_score(match.score);
    row->set_title(match.title);
    row->set_source(match.source);
    row->set_start(static_cast<int>(match.start));
    row->set_end(static_cast<int>(match.end));
    JsonToStruct(match.metadata, row->mutable_metadata());
    if (match.explanation) FillExplanation(*match.explanation, row->mutable_explanation());
  }
  out->set_mode(ModeName(result.mode));
  out->set_generation(result.generation);
  out->set_confidence(result.confidence);
}

retrieval::StoredDocument ToDocument(const v1::Document& document) {
  retrieval::StoredDocument stored;
  stored.id = document.id();
  stored.title = document.title();
  stored.text = document.text();
  stored.source = document.source();
  stored.metadata = StructToJson(document.metadata());
  return stored;
}

void Fill(const retrieval::StoredDocument& document, v1::Document* out) {
  out->set_id(document.id);
  out->set_title(document.title);
  out->set_text(document.text);
  out->set_source(document.source);
  JsonToStruct(document.metadata, out->mutable_metadata());
  out->set_collection(document.collection);
  out->set_chunks(document.chunks);
  FillTime(document.created_at, out->mutable_created_at());
}

void Fill(const retrieval::AddedDocument& added, v1::AddDocumentsResponse::Added* out) {
  using Added = v1::AddDocumentsResponse::Added;
  out->set_id(added.id);
  out->set_chunks(added.chunks);
  switch (added.status) {
    case retrieval::AddStatus::kAdded:
      return out->set_status(Added::ADDED);
    case retrieval::AddStatus::kUpdated:
      return out->set_status(Added::UPDATED);
    case retrieval::AddStatus::kUnchanged:
      return out->set_status(Added::UNCHANGED);
  }
}

void FillFailed(const absl::Status& status, v1::AddDocumentsResponse::Added* out) {
  out->set_status(v1::AddDocumentsResponse::Added::FAILED);
  FillError(ReasonOf(status), std::string(status.message()), FieldOf(status), out->mutable_error());
}

void Fill(const retrieval::CollectionInfo& info, v1::Collection* out) {
  const auto fill = [](const retrieval::GenerationInfo& generation,
                       v1::Collection::Generation* to) {
    to->set_number(generation.number);
    to->set_embedder(generation.embedder);
    to->set_dimensions(generation.dimensions);
    FillTime(generation.created_at, to->mutable_created_at());
  };
  out->set_name(info.id.name);
  out->set_documents(info.documents);
  out->set_chunks(info.chunks);
  out->set_unembedded_chunks(info.unembedded_chunks);
  if (info.serving.number > 0) fill(info.serving, out->mutable_serving());
  for (const auto& generation : info.former) fill(generation, out->add_former());
}

void Fill(const jobs::Job& job, v1::Job* out) {
  out->set_job_id(job.id.value);
  out->set_kind(job.kind);
  out->set_status(static_cast<v1::Job::Status>(static_cast<int>(job.status) + v1::Job::QUEUED));
  out->mutable_progress()->set_done(static_cast<int>(job.progress.done));
  out->mutable_progress()->set_total(static_cast<int>(job.progress.total));
  out->mutable_progress()->set_message(job.progress.message);
  if (!job.result.empty()) JsonToStruct(job.result, out->mutable_result());
  if (!job.error_reason.empty()) {
    v1::Error::Reason reason = v1::Error::INTERNAL;
    v1::Error::Reason_Parse(job.error_reason, &reason);
    FillError(reason, job.error_message, "", out->mutable_error());
  }
  out->set_attempts(job.attempts);
  FillTime(job.created_at, out->mutable_created_at());
  if (job.started_at != absl::InfinitePast()) FillTime(job.started_at, out->mutable_started_at());
  if (job.finished_at != absl::InfinitePast())
    FillTime(job.finished_at, out->mutable_finished_at());
}

void Fill(const models::ModelInfo& info, const char* kind, bool is_default, v1::Model* out) {
  out->set_id(info.id);
  out->set_kind(kind);
  out->set_is_default(is_default);
  for (const auto& alias : info.aliases) out->add_aliases(alias);
  out->set_provider(info.provider);
  out->set_description(info.description);
  out->set_context_tokens(info.context_tokens);
  for (const auto& name : info.ignored_parameters) out->add_ignored_parameters(name);
}

std::string StructToJson(const google::protobuf::Struct& fields) {
  if (fields.fields().empty()) return {};
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(fields, &json);
  // protobuf's maps have no order of their own; nlohmann's do, so that equal fields are equal text.
  return jobs::Json::parse(json, nullptr, /*allow_exceptions=*/false).dump();
}

void JsonToStruct(const std::string& json, google::protobuf::Struct* out) {
  out->Clear();
  if (!json.empty()) (void)google::protobuf::util::JsonStringToMessage(json, out);
}

}  // namespace aibackend::rpc
