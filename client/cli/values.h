#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

/// Changes as JSON, from what stands on a command line.
namespace neptune::cli {

/// One change, member by member.
class ChangeText {
 public:
  explicit ChangeText(std::string_view kind) { text("kind", kind); }

  ChangeText& text(std::string_view name, std::string_view value);
  ChangeText& text(std::string_view name, const std::string& value) { return text(name, std::string_view(value)); }
  ChangeText& text(std::string_view name, const std::optional<std::string>& value);  ///< left out when there is none
  ChangeText& texts(std::string_view name, const std::vector<std::string>& values);
  ChangeText& json(std::string_view name, std::string_view value);  ///< a value that is JSON already

  std::string str() const { return json_ + "}"; }

 private:
  std::string json_ = "{";
};

/// `0.3`, `.5`, `1e-3` are numbers, `true` and `false` are themselves, all else is a string; so is what stands in
/// double quotes (`"0.3"`; `""` is the empty text). Refuses nothing at all, NaN and infinity, which the server takes
/// nowhere.
Result<std::string> value_json(std::string_view text);

/// A number that JSON takes, or nothing.
std::optional<std::string> number_json(std::string_view text);

/// `["train/loss=0.3", "note=fine"]` as `{"train/loss":0.3,"note":"fine"}`. Refuses what has no '=' or no name.
Result<std::string> assignments_json(const std::vector<std::string>& assignments);
/// Whether that is what it becomes without a word of that: neither in double quotes nor anything else.
bool is_bare_text(std::string_view text);
/// What is before the first '=' of `NAME=VALUE`, and behind it.
struct Assignment {
  std::string_view name, value;
};
Result<Assignment> split_assignment(std::string_view text);

/// The same of points of series, of which one wrong text spoils all numbers after it: what begins like a number and is
/// none is refused unless it stands in double quotes. With a step, where each is to have its own:
/// `{"loss":{"value":0.3,"step":12}}`.
Result<std::string> points_json(const std::vector<std::string>& points, const std::optional<std::string>& step = {});

/// `["sys/tags=best", "sys/tags=new"]` as `{"sys/tags":["best","new"]}`.
Result<std::string> sets_json(const std::vector<std::string>& members);

/// `["a=float_series"]` as `{"a":"float_series"}`: every value a string.
Result<std::string> words_json(const std::vector<std::string>& assignments);

std::string texts_json(const std::vector<std::string>& values);

/// On which line of a body of changes (an array, or one after the other) that of this number, from 0, begins.
std::optional<std::size_t> line_of_change(std::string_view body, std::size_t index);

/// As the kernel goes there: ".." after a link leads up from where the link leads. The last step stays as it is
/// written, for the daemon to judge.
std::string absolute_file(const std::string& file);

}  // namespace neptune::cli
