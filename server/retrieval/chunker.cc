#include "server/retrieval/chunker.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "server/retrieval/sentences.h"

namespace aibackend::retrieval {
namespace {

// A sentence, or a piece of one that is longer than a chunk.
struct Piece {
  Span span;
  size_t chars = 0;  // up to the start of the next piece
  bool starts_paragraph = false;
  bool is_heading = false;
};

// The end of a piece of at most `chars_max` characters of `text` from `start`: after the last white
// space in its second half if there is one.
size_t PieceEnd(absl::string_view text, size_t start, size_t end, size_t chars_max) {
  size_t position = start;
  size_t space = 0;
  for (size_t chars = 0; position < end && chars < chars_max; ++chars) {
    if (chars > chars_max / 2 && absl::ascii_isspace(static_cast<unsigned char>(text[position]))) {
      space = position + 1;
    }
    ++position;
    while (position < end && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80) {
      ++position;
    }
  }
  return position == end || space == 0 ? position : space;
}

std::vector<Piece> CutIntoPieces(absl::string_view text) {
  std::vector<Piece> pieces;
  for (const Sentence& sentence : SplitSentences(text)) {
    for (size_t start = sentence.start; start < sentence.end;) {
      const size_t end = PieceEnd(text, start, sentence.end, kChunkCharsTarget);
      const bool is_first = start == sentence.start;
      pieces.push_back({{start, end},
                        CountCharacters(text.substr(start, end - start)),
                        is_first && sentence.starts_paragraph,
                        is_first && sentence.is_heading});
      start = end;
    }
  }
  return pieces;
}

// How much a chunk likes to end before `piece`: headings most.
int BorderRank(const Piece& piece) {
  return piece.is_heading ? 2 : piece.starts_paragraph ? 1 : 0;
}

// The index after the last piece of the chunk that starts at `first`: the best border between
// three quarters and five quarters of `target`, the earliest of equals at sentence borders being
// the one nearest to the target.
size_t ChunkEnd(const std::vector<Piece>& pieces, size_t first, size_t target) {
  size_t chars = 0;
  size_t best = 0;
  int best_rank = -1;
  size_t best_distance = 0;
  for (size_t i = first; i < pieces.size(); ++i) {
    if (i > first && chars + pieces[i].chars > std::max(kChunkCharsMax, target)) {
      if (best_rank >= 0) return best;
      while (i - 1 > first && pieces[i - 1].is_heading) --i;  // it belongs to what follows
      return i;
    }
    chars += pieces[i].chars;
    if (i + 1 == pieces.size() || pieces[i].is_heading || chars < target * 3 / 4) continue;
    const int rank = BorderRank(pieces[i + 1]);
    const size_t distance = chars > target ? chars - target : target - chars;
    if (rank > best_rank || (rank == best_rank && distance < best_distance)) {
      best = i + 1;
      best_rank = rank;
      best_distance = distance;
    }
    if (chars > target * 5 / 4) return best;
  }
  // What is left fits into one chunk.
  return pieces.size();
}

}  // namespace

std::vector<Span> CutIntoChunks(absl::string_view text) {
  const std::vector<Piece> pieces = CutIntoPieces(text);
  if (pieces.empty()) return {{0, text.size()}};
  size_t left = 0;
  for (const Piece& piece : pieces) left += piece.chars;

  std::vector<Span> chunks;
  for (size_t first = 0; first < pieces.size();) {
    if (left <= kChunkCharsMax) {
      chunks.push_back({pieces[first].span.start, pieces.back().span.end});
      break;
    }
    const size_t parts = (left + kChunkCharsTarget - 1) / kChunkCharsTarget;
    const size_t end = ChunkEnd(pieces, first, left / parts);
    for (size_t i = first; i < end; ++i) left -= pieces[i].chars;
    chunks.push_back({pieces[first].span.start, pieces[end - 1].span.end});
    first = end;
    const bool overlaps = end < pieces.size() && end >= 2 && BorderRank(pieces[end]) == 0 &&
                          pieces[end - 1].chars <= kChunkOverlapCharsMax &&
                          pieces[end - 2].span.end > chunks.back().start;
    if (overlaps) {
      --first;
      left += pieces[first].chars;
    }
  }
  return chunks;
}

}  // namespace aibackend::retrieval
