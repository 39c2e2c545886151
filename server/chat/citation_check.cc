#include "server/chat/citation_check.h"

#include <algorithm>

namespace aibackend::chat {
namespace {

bool IsVerbatim(const models::Citation& citation, const models::Passage& passage) {
  if (citation.document_id != passage.document_id || citation.chunk_id != passage.chunk_id)
    return false;
  if (citation.start < passage.start || citation.end < citation.start) return false;
  const size_t offset = citation.start - passage.start;
  const size_t length = citation.end - citation.start;
  return length == citation.text.size() && offset + length <= passage.text.size() &&
         passage.text.compare(offset, length, citation.text) == 0;
}

}  // namespace

int DropUnverifiedCitations(const models::Grounding& grounding,
                            std::vector<models::Citation>& citations) {
  const auto kept =
      std::remove_if(citations.begin(), citations.end(), [&](const models::Citation& citation) {
        return std::none_of(
            grounding.passages.begin(), grounding.passages.end(),
            [&](const models::Passage& passage) { return IsVerbatim(citation, passage); });
      });
  const auto dropped = static_cast<int>(citations.end() - kept);
  citations.erase(kept, citations.end());
  return dropped;
}

}  // namespace aibackend::chat
