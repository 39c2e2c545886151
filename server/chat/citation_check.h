// The last look at citations before an answer leaves.
#pragma once

#include <vector>

#include "server/models/language_model.h"

namespace aibackend::chat {

// Keeps the citations that are verbatim: of a passage that was retrieved for this turn, with the
// passage's ids, and with text that equals the passage's bytes [start, end). Returns how many were
// dropped.
int DropUnverifiedCitations(const models::Grounding& grounding,
                            std::vector<models::Citation>& citations);

}  // namespace aibackend::chat
