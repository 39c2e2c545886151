#include "server/retrieval/document_tables.h"

#include <utility>

#include "server/base/status.h"

namespace aibackend::retrieval {
namespace {

using storage::Row;
using storage::Session;

bool IsCharacterStart(const std::string& text, size_t position) {
  return position == text.size() || (static_cast<unsigned char>(text[position]) & 0xC0) != 0x80;
}

bool FitsText(const Document& document) {
  for (const Span& span : document.chunks) {
    if (span.start > span.end || span.end > document.text.size() ||
        !IsCharacterStart(document.text, span.start) ||
        !IsCharacterStart(document.text, span.end)) {
      return false;
    }
  }
  return !document.chunks.empty();
}

absl::Status InsertChunks(Session& session, int64_t seq, const std::vector<Span>& chunks) {
  for (size_t i = 0; i < chunks.size(); ++i) {
    AIB_RETURN_IF_ERROR(
        session
            .Execute("INSERT INTO chunks (document_seq, ordinal, start_byte, "
                     "end_byte) VALUES ($1, $2, $3, $4)",
                     {seq, static_cast<int64_t>(i), static_cast<int64_t>(chunks[i].start),
                      static_cast<int64_t>(chunks[i].end)})
            .status());
  }
  return absl::OkStatus();
}

absl::Status ReadChunks(Session& session, Document& document) {
  AIB_RETURN_IF_ERROR(session.Query(
      "SELECT start_byte, end_byte FROM chunks WHERE document_seq = $1 ORDER BY ordinal",
      {document.seq}, [&](const Row& row) {
        document.chunks.push_back(
            {static_cast<size_t>(row.Int(0)), static_cast<size_t>(row.Int(1))});
      }));
  if (!FitsText(document)) document.chunks = CutIntoChunks(document.text);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> InsertDocument(Session& session, const std::string& collection,
                                       const Document& document) {
  int64_t seq = 0;
  AIB_RETURN_IF_ERROR(session.Query(
      "INSERT INTO documents (collection, id, title, text, source, metadata, content_hash, "
      "chunk_count, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING seq",
      {collection, document.id, document.title, document.text, document.source, document.metadata,
       document.content_hash, static_cast<int64_t>(document.chunks.size()),
       absl::ToUnixMicros(document.created_at)},
      [&](const Row& row) { seq = row.Int(0); }));
  AIB_RETURN_IF_ERROR(InsertChunks(session, seq, document.chunks));
  return seq;
}

absl::Status DeleteDocument(Session& session, int64_t seq) {
  return session.Execute("DELETE FROM documents WHERE seq = $1", {seq}).status();
}

absl::Status ReplaceChunks(Session& session, const Document& document) {
  AIB_RETURN_IF_ERROR(
      session.Execute("DELETE FROM chunks WHERE document_seq = $1", {document.seq}).status());
  AIB_RETURN_IF_ERROR(InsertChunks(session, document.seq, document.chunks));
  return session
      .Execute("UPDATE documents SET chunk_count = $2 WHERE seq = $1",
               {document.seq, static_cast<int64_t>(document.chunks.size())})
      .status();
}

absl::StatusOr<std::vector<std::string>> ReadCollections(Session& session) {
  std::vector<std::string> names;
  AIB_RETURN_IF_ERROR(session.Query("SELECT DISTINCT collection FROM documents ORDER BY collection",
                                    {}, [&](const Row& row) { names.push_back(row.Text(0)); }));
  return names;
}

absl::StatusOr<std::vector<Document>> ReadDocuments(Session& session, const std::string& collection,
                                                    int64_t after_seq, int64_t limit) {
  std::vector<Document> documents;
  AIB_RETURN_IF_ERROR(session.Query(
      "SELECT seq, id, title, text, source, metadata, content_hash, created_at FROM documents "
      "WHERE collection = $1 AND seq > $2 ORDER BY seq LIMIT $3",
      {collection, after_seq, limit}, [&](const Row& row) {
        documents.push_back({row.Int(0),
                             row.Text(1),
                             row.Text(2),
                             row.Text(3),
                             row.Text(4),
                             row.Text(5),
                             row.Text(6),
                             absl::FromUnixMicros(row.Int(7)),
                             {}});
      }));
  for (Document& document : documents) AIB_RETURN_IF_ERROR(ReadChunks(session, document));
  return documents;
}

absl::StatusOr<std::vector<int64_t>> ReadSeqs(Session& session, const std::string& collection) {
  std::vector<int64_t> seqs;
  AIB_RETURN_IF_ERROR(session.Query("SELECT seq FROM documents WHERE collection = $1 ORDER BY seq",
                                    {collection},
                                    [&](const Row& row) { seqs.push_back(row.Int(0)); }));
  return seqs;
}

absl::StatusOr<StoredDocument> ReadDocument(Session& session, const std::string& collection,
                                            const std::string& id) {
  StoredDocument document;
  AIB_RETURN_IF_ERROR(
      session.Query("SELECT title, text, source, metadata, chunk_count, created_at FROM documents "
                    "WHERE collection = $1 AND id = $2",
                    {collection, id}, [&](const Row& row) {
                      document = {id,
                                  collection,
                                  row.Text(0),
                                  row.Text(1),
                                  row.Text(2),
                                  row.Text(3),
                                  static_cast<int>(row.Int(4)),
                                  absl::FromUnixMicros(row.Int(5))};
                    }));
  if (document.id.empty()) {
    return MakeError(Reason::DOCUMENT_NOT_FOUND, "there is no such document", "id");
  }
  return document;
}

absl::Status ListDocuments(Session& session, const std::string& collection, int64_t before_seq,
                           int64_t limit,
                           absl::FunctionRef<void(int64_t seq, StoredDocument)> on_document) {
  const auto on_row = [&](const Row& row) {
    on_document(row.Int(0), {row.Text(1), row.Text(2), row.Text(3), "", row.Text(4), row.Text(5),
                             static_cast<int>(row.Int(6)), absl::FromUnixMicros(row.Int(7))});
  };
  if (collection.empty()) {
    return session.Query(
        "SELECT seq, id, collection, title, source, metadata, chunk_count, created_at "
        "FROM documents WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        {before_seq, limit}, on_row);
  }
  return session.Query(
      "SELECT seq, id, collection, title, source, metadata, chunk_count, created_at "
      "FROM documents WHERE collection = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
      {collection, before_seq, limit}, on_row);
}

absl::StatusOr<Generation> ReadGeneration(Session& session, const std::string& collection) {
  Generation generation;
  AIB_RETURN_IF_ERROR(
      session.Query("SELECT generation, fitted_chunks FROM index_generations WHERE collection = $1",
                    {collection}, [&](const Row& row) {
                      generation = {static_cast<int>(row.Int(0)), row.Int(1)};
                    }));
  return generation;
}

absl::Status WriteGeneration(Session& session, const std::string& collection,
                             const Generation& generation, absl::Time now) {
  return session
      .Execute(
          "INSERT INTO index_generations (collection, generation, fitted_chunks, created_at) "
          "VALUES ($1, $2, $3, $4) ON CONFLICT (collection) DO UPDATE SET "
          "generation = excluded.generation, fitted_chunks = excluded.fitted_chunks, "
          "created_at = excluded.created_at",
          {collection, static_cast<int64_t>(generation.number), generation.fitted_chunks,
           absl::ToUnixMicros(now)})
      .status();
}

}  // namespace aibackend::retrieval
