#include "client/cli/change_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "client/cli/values.h"

namespace neptune::cli {

namespace {

constexpr std::size_t read_bytes = 64 << 10;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool holds_a_change(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") != std::string_view::npos;
}

}  // namespace

Result<ChangeFile> ChangeFile::open(const std::string& name, Limits limits) {
  const bool standard_input = name == "-";
  File file(standard_input ? stdin : std::fopen(name.c_str(), "rbe"),
            standard_input ? [](std::FILE*) { return 0; } : std::fclose);
  ChangeFile opened(name, std::move(file), limits);
  if (!opened.file_) return std::unexpected(opened.unreadable());
  return opened;
}

Error ChangeFile::unreadable() const {
  return {"file_unreadable", "'" + name_ + "' cannot be read: " + std::strerror(errno) + "."};
}

/// Until there is more than a request takes, so that what is at hand shows whether it does.
Result<void> ChangeFile::fill() {
  while (!ended_ && buffer_.size() <= limits_.bytes) {
    const auto before = buffer_.size();
    buffer_.resize(before + read_bytes);
    const auto n = std::fread(buffer_.data() + before, 1, read_bytes, file_.get());
    buffer_.resize(before + n);
    if (std::ferror(file_.get())) return std::unexpected(unreadable());
    ended_ = n == 0;
  }
  if (!begun_) {
    const std::string_view text = buffer_;
    const auto begin =
        text.find_first_not_of(" \t\r\n", text.starts_with(byte_order_mark) ? byte_order_mark.size() : 0);
    array_ = begin != std::string_view::npos && text[begin] == '[';
    begun_ = true;
  }
  return {};
}

/// What is one text, an array or an object over several lines, goes as it is, whatever the daemon says of it.
bool ChangeFile::is_one_request() const {
  return array_ || (ended_ && buffer_.size() <= limits_.bytes && !line_of_change(buffer_, limits_.changes));
}

/// Whole lines from the beginning of what is at hand, as many as a request takes.
ChangeFile::Part ChangeFile::lines_at_hand(std::uint64_t most_changes) const {
  const std::string_view text = buffer_;
  Part part;
  part.lines = true;
  part.changes_before = changes_passed_;
  part.lines_before = lines_passed_;
  std::size_t end = 0;
  while (end < text.size() && part.changes < most_changes) {
    const auto newline = text.find('\n', end);
    const bool cut_off = newline == std::string_view::npos && !ended_;
    const auto stop = newline == std::string_view::npos ? text.size() : newline + 1;
    if (part.line_count > 0 && (cut_off || stop > limits_.bytes)) break;
    if (holds_a_change(text.substr(end, stop - end))) ++part.changes;
    ++part.line_count;
    end = stop;
  }
  part.text = text.substr(0, end);
  return part;
}

/// What was handed out is done with.
void ChangeFile::pass() {
  changes_passed_ += now_.changes;
  lines_passed_ += now_.line_count;
  buffer_.erase(0, now_.text.size());
  now_ = {};
}

Result<void> ChangeFile::skip(std::uint64_t changes) {
  while (changes_passed_ < changes) {
    if (const auto filled = fill(); !filled) return filled;
    if (array_)
      return fail("wrong_skip",
                  "Only what has one object a line can be handed in from a later one on; this is an array.");
    now_ = lines_at_hand(std::min<std::uint64_t>(changes - changes_passed_, limits_.changes));
    if (now_.text.empty())
      return fail("wrong_skip",
                  "There are no more than " + std::to_string(changes_passed_) + " changes in '" + name_ + "'.");
    pass();
  }
  lines_ = changes > 0;
  return {};
}

Result<std::optional<ChangeFile::Part>> ChangeFile::next() {
  for (;;) {
    pass();
    if (const auto filled = fill(); !filled) return std::unexpected(filled.error());
    const bool whole = !lines_ && is_one_request();
    lines_ = true;
    if (whole) {
      ended_ = true;
      now_.text = buffer_;
      return now_;
    }
    now_ = lines_at_hand(limits_.changes);
    if (now_.text.empty()) return std::nullopt;
    if (now_.changes > 0) return now_;
  }
}

ChangeFile::Part ChangeFile::shorten(std::uint64_t changes) {
  now_ = lines_at_hand(changes);
  return now_;
}

}  // namespace neptune::cli
