#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/lib/client.h"
#include "support/error.h"

namespace neptune::cli {

/// A file of changes, read as it is handed in: whole where one request takes it, or else, with one object a line, in
/// parts that end with a line. Memory: one part.
class ChangeFile {
 public:
  struct Limits {
    std::size_t bytes = client::body_bytes, changes = client::body_changes;  ///< of a part
  };
  struct Part {
    std::string_view text{};  ///< until the next is asked for
    bool lines = false;       ///< it is known to be NDJSON, as a part of a file is
    /// Of the file: what goes before it. Those that were skipped count.
    std::uint64_t changes_before = 0, lines_before = 0;
    std::uint64_t changes = 0, line_count = 0;  ///< in it, where it is known to be NDJSON
  };

  /// "-" is standard input.
  static Result<ChangeFile> open(const std::string& name, Limits limits);
  static Result<ChangeFile> open(const std::string& name) { return open(name, Limits{}); }

  /// Leaves out the first so many changes, before anything of it is asked for. "wrong_skip": there are not more than
  /// these, or it does not have one a line.
  Result<void> skip(std::uint64_t changes);

  /// Nothing at the end. What is longer than a request and has no end of a line is handed out as far as it was read,
  /// which is more than any daemon takes: it says so itself.
  Result<std::optional<Part>> next();
  /// The part that was asked for last, with no more changes than these; the others come with the next.
  Part shorten(std::uint64_t changes);

  /// An array is one text, and cannot be handed in by parts.
  bool is_array() const { return array_; }

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

  ChangeFile(std::string name, File file, Limits limits)
      : name_(std::move(name)), file_(std::move(file)), limits_(limits) {}

  Error unreadable() const;
  Result<void> fill();
  bool is_one_request() const;
  Part lines_at_hand(std::uint64_t most_changes) const;
  void pass();

  std::string name_;
  File file_;
  Limits limits_;
  std::string buffer_;
  bool begun_ = false, ended_ = false, array_ = false;
  bool lines_ = false;                                   // it is read by lines from here on
  std::uint64_t changes_passed_ = 0, lines_passed_ = 0;  // of what is not at hand any more
  Part now_;                                             // what was handed out last: the beginning of the buffer
};

}  // namespace neptune::cli
