// The sample corpus: about fifty short texts on building AI backends, in English and a few in
// Japanese, linked into the program so that a fresh installation has something to answer from.
#pragma once

#include <string>
#include <vector>

namespace aibackend::tasks {

struct SampleDocument {
  std::string id;  // "sample-" and the file's slug; stable, so that seeding twice changes nothing
  std::string title;  // the file's first line without its "# "
  std::string text;   // what follows: UTF-8, one line a paragraph, an empty line between them
};

// The documents in the order of their files' numbers. Makes fresh copies (about 100 KB); holds no
// state, so any thread may call it.
std::vector<SampleDocument> SampleCorpus();

}  // namespace aibackend::tasks
