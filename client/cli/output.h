// Everything the program writes, and the care that takes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/result.h"

namespace aibackend::cli {

// `text` without what could drive a terminal: C0 control characters but newline and tab, DEL, and
// C1 control characters (U+0080–U+009F). Without ESC an escape sequence is only odd-looking text.
std::string WithoutControls(std::string_view text);

// `text` with "aib_…" in place of each API key in it.
std::string WithoutKeys(std::string_view text);

// Writes to stdout and stderr. Text of others is cleaned where it goes to a terminal, and left as
// it is in a pipe or file. For one thread at a time.
class Output {
 public:
  Output();

  bool terminal() const { return stdout_is_terminal_; }

  // To stdout at once, so that a streamed answer shows as it comes.
  void Write(std::string_view text);
  void Line(std::string_view text);
  // Of lesser importance: dim where colours are on.
  void Note(std::string_view text);
  // In the colour of a heading where colours are on; no newline.
  void Heading(std::string_view text);
  // A line that the next one overwrites. Only for a terminal.
  void Progress(std::string_view text);
  void ClearProgress();
  // Columns side by side, two spaces between them; the first row is the heading. The last column is
  // as long as it likes. Newlines in cells become spaces.
  void Table(const std::vector<std::vector<std::string>>& rows);

  // To stderr, in a line of its own: what is said about an output that is for a program.
  void Aside(std::string_view text);

  // "error: MESSAGE (REASON, field X, request ID, retry after T): what to set" on stderr, in one
  // line and without keys.
  void Error(const client::ClientError& error);
  void Error(std::string_view message);

  // False when something could not be written, as on a full disk.
  bool Flush();

 private:
  std::string Clean(std::string_view text) const;

  const bool stdout_is_terminal_;
  const bool stderr_is_terminal_;
  const bool colours_;
};

}  // namespace aibackend::cli
