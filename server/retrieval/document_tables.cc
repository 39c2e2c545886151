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

absl::StatusOr<int64_t> InsertDocument(Session& session, const CollectionId& collection,
                                       const Document& document) {
  int64_t seq = 0;
  AIB_RETURN_IF_ERROR(session.Query(
      "INSERT INTO documents (tenant, collection, id, title, text, source, metadata, content_hash, "
      "chunk_count, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING seq",
      {collection.tenant, collection.name, document.id, document.title, document.text,
       document.source, document.metadata, document.content_hash,
       static_cast<int64_t>(document.chunks.size()), absl::ToUnixMicros(document.created_at)},
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

absl::StatusOr<std::vector<CollectionId>> ReadCollections(Session& session) {
  std::vector<CollectionId> ids;
  AIB_RETURN_IF_ERROR(
      session.Query("SELECT tenant, collection FROM documents UNION "
                    "SELECT tenant, collection FROM index_generations ORDER BY 1, 2",
                    {}, [&](const Row& row) {
                      ids.push_back({row.Text(1), row.Text(0)});
                    }));
  return ids;
}

absl::StatusOr<std::vector<Document>> ReadDocuments(Session& session,
                                                    const CollectionId& collection,
                                                    int64_t after_seq, int64_t limit) {
  std::vector<Document> documents;
  AIB_RETURN_IF_ERROR(session.Query(
      "SELECT seq, id, title, text, source, metadata, content_hash, created_at FROM documents "
      "WHERE tenant = $1 AND collection = $2 AND seq > $3 ORDER BY seq LIMIT $4",
      {collection.tenant, collection.name, after_seq, limit}, [&](const Row& row) {
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

absl::StatusOr<std::vector<int64_t>> ReadSeqs(Session& session, const CollectionId& collection) {
  std::vector<int64_t> seqs;
  AIB_RETURN_IF_ERROR(session.Query(
      "SELECT seq FROM documents WHERE tenant = $1 AND collection = $2 ORDER BY seq",
      {collection.tenant, collection.name}, [&](const Row& row) { seqs.push_back(row.Int(0)); }));
  return seqs;
}

absl::StatusOr<StoredDocument> ReadDocument(Session& session, const CollectionId& collection,
                                            const std::string& id) {
  StoredDocument document;
  AIB_RETURN_IF_ERROR(
      session.Query("SELECT title, text, source, metadata, chunk_count, created_at FROM documents "
                    "WHERE tenant = $1 AND collection = $2 AND id = $3",
                    {collection.tenant, collection.name, id}, [&](const Row& row) {
                      document = {id,
                                  collection.name,
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

absl::Status ListDocuments(Session& session, const CollectionId& collection, int64_t before_seq,
                           int64_t limit,
                           absl::FunctionRef<void(int64_t seq, StoredDocument)> on_document) {
  const auto on_row = [&](const Row& row) {
    on_document(row.Int(0), {row.Text(1), row.Text(2), row.Text(3), "", row.Text(4), row.Text(5),
                             static_cast<int>(row.Int(6)), absl::FromUnixMicros(row.Int(7))});
  };
  if (collection.name.empty()) {
    return session.Query(
        "SELECT seq, id, collection, title, source, metadata, chunk_count, created_at "
        "FROM documents WHERE tenant = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
        {collection.tenant, before_seq, limit}, on_row);
  }
  return session.Query(
      "SELECT seq, id, collection, title, source, metadata, chunk_count, created_at "
      "FROM documents WHERE tenant = $1 AND collection = $2 AND seq < $3 ORDER BY seq DESC LIMIT "
      "$4",
      {collection.tenant, collection.name, before_seq, limit}, on_row);
}

absl::StatusOr<std::vector<CollectionInfo>> ReadCollectionInfos(Session& session,
                                                                const std::string& tenant,
                                                                const std::string& after,
                                                                int64_t limit) {
  std::vector<CollectionInfo> infos;
  AIB_RETURN_IF_ERROR(session.Query(
      "SELECT collection, COUNT(*), SUM(chunk_count) FROM documents "
      "WHERE tenant = $1 AND collection > $2 GROUP BY collection ORDER BY collection LIMIT $3",
      {tenant, after, limit}, [&](const Row& row) {
        CollectionInfo info;
        info.id = {row.Text(0), tenant};
        info.documents = row.Int(1);
        info.chunks = row.Int(2);
        infos.push_back(std::move(info));
      }));
  return infos;
}

absl::Status NoSuchCollection() {
  return MakeError(Reason::COLLECTION_NOT_FOUND, "there is no such collection", "collection");
}

absl::StatusOr<CollectionInfo> ReadCollectionInfo(Session& session,
                                                  const CollectionId& collection) {
  CollectionInfo info;
  info.id = collection;
  AIB_RETURN_IF_ERROR(
      session.Query("SELECT COUNT(*), COALESCE(SUM(chunk_count), 0) FROM documents "
                    "WHERE tenant = $1 AND collection = $2",
                    {collection.tenant, collection.name}, [&](const Row& row) {
                      info.documents = row.Int(0);
                      info.chunks = row.Int(1);
                    }));
  if (info.documents == 0) return NoSuchCollection();
  return info;
}

absl::Status FillGenerations(Session& session, CollectionInfo& info) {
  AIB_ASSIGN_OR_RETURN(const std::vector<Generation> generations,
                       ReadGenerations(session, info.id));
  info.former.clear();
  for (const Generation& generation : generations) {
    if (info.serving.number == 0) {
      info.serving = generation.info;
    } else {
      info.former.push_back(generation.info);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> DeleteCollection(Session& session, const CollectionId& collection) {
  AIB_RETURN_IF_ERROR(
      session
          .Execute("DELETE FROM index_generations WHERE tenant = $1 AND collection = $2",
                   {collection.tenant, collection.name})
          .status());
  return session.Execute("DELETE FROM documents WHERE tenant = $1 AND collection = $2",
                         {collection.tenant, collection.name});
}

absl::StatusOr<std::vector<Generation>> ReadGenerations(Session& session,
                                                        const CollectionId& collection) {
  std::vector<Generation> generations;
  AIB_RETURN_IF_ERROR(session.Query(
      "SELECT generation, embedder, dimensions, created_at, fitted_chunks, order_id "
      "FROM index_generations "
      "WHERE tenant = $1 AND collection = $2 ORDER BY generation DESC",
      {collection.tenant, collection.name}, [&](const Row& row) {
        generations.push_back({{static_cast<int>(row.Int(0)), row.Text(1),
                                static_cast<int>(row.Int(2)), absl::FromUnixMicros(row.Int(3))},
                               row.Int(4),
                               row.Text(5)});
      }));
  return generations;
}

absl::Status WriteGeneration(Session& session, const CollectionId& collection,
                             const Generation& generation) {
  AIB_RETURN_IF_ERROR(
      session
          .Execute("INSERT INTO index_generations (tenant, collection, generation, embedder, "
                   "dimensions, fitted_chunks, created_at, order_id) "
                   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
                   "ON CONFLICT (tenant, collection, generation) DO UPDATE SET "
                   "embedder = excluded.embedder, dimensions = excluded.dimensions, "
                   "fitted_chunks = excluded.fitted_chunks, created_at = excluded.created_at, "
                   "order_id = excluded.order_id",
                   {collection.tenant, collection.name, int64_t{generation.info.number},
                    generation.info.embedder, int64_t{generation.info.dimensions},
                    generation.fitted_chunks, absl::ToUnixMicros(generation.info.created_at),
                    generation.order_id})
          .status());
  return session
      .Execute(
          "DELETE FROM index_generations WHERE tenant = $1 AND collection = $2 AND "
          "generation < $3",
          {collection.tenant, collection.name,
           generation.info.number - static_cast<int64_t>(kFormerGenerationsMax)})
      .status();
}

}  // namespace aibackend::retrieval
