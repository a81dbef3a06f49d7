#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "changes/change_json.h"
#include "changes/limits.h"

/// JSON as it was written: numbers keep their digits (a step is decimal, and a double must be the nearest one), members
/// keep their order, and a name given twice is an error instead of a lost value.
namespace neptune::changes {

struct JsonMember;

struct Json {
  enum class Type : std::uint8_t { null, boolean, number, string, array, object };
  explicit Json(Type of = Type::null, std::string with = {});

  Type type;
  bool truth = false;               ///< of a boolean
  std::string text;                 ///< of a string; a number's digits as written
  std::vector<JsonMember> members;  ///< of an object; of an array, without names

  bool is(Type other) const { return type == other; }
  bool is_whole_number() const;  ///< a number without fraction or exponent
  const Json* find(std::string_view name) const;
};

struct JsonMember {
  std::string name{};
  Json value{};
};

inline Json::Json(Type of, std::string with) : type(of), text(std::move(with)) {}

/// "a string", "an object", ... for messages.
std::string_view describe(Json::Type type);

/// Takes the elements of an array as they are read (or the one object), and says whether to go on.
using JsonSink = std::function<bool(Json&& element)>;

struct JsonEnd {
  bool was_array = false;
};

/// Reads one JSON object, or an array. Depth (changes/limits.h) and number of values of one element are bounded. When
/// the sink stops it, that is no error. `first_line`: the number of the one that `text` begins on, for what is said.
std::expected<JsonEnd, Refusal> read_json(std::string_view text, const JsonSink& sink,
                                          std::size_t max_values = limits::change_values, std::size_t first_line = 1);

/// `text` as a JSON string, with its quotes. The text must be UTF-8.
void append_json_string(std::string& out, std::string_view text);
/// The shortest digits that read back as `value`, always with a '.' or an exponent. The value must be finite.
void append_json_double(std::string& out, double value);

/// Writes one compact object.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }
  /// Begins a member: the caller appends its value.
  std::string& member(std::string_view name);
  void text(std::string_view name, std::string_view value) { append_json_string(member(name), value); }
  void text_if(std::string_view name, const std::optional<std::string>& value) {
    if (value) text(name, *value);
  }
  void flag(std::string_view name, bool value) { member(name) += value ? "true" : "false"; }
  void number(std::string_view name, std::int64_t value) { member(name) += std::to_string(value); }
  void texts(std::string_view name, const std::vector<std::string>& values);
  void end() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace neptune::changes
