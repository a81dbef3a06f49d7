#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// JSON as text, appended to a string: for answers too large for a document in memory.
namespace neptune::sandbox::json_text {

/// In quotes, escaped; UTF-8 goes through as it is.
void append_string(std::string& out, std::string_view text);
/// The shortest text that reads back as the same double, always with a '.' or an exponent; NaN, Infinity, -Infinity.
void append_double(std::string& out, double value);
void append_integer(std::string& out, std::int64_t value);
void append_integer(std::string& out, std::uint64_t value);

/// Writes the commas of an object or array.
class Separator {
 public:
  void next(std::string& out) {
    if (any_) out.push_back(',');
    any_ = true;
  }

 private:
  bool any_ = false;
};

/// `"key":` with the comma before it where one is due.
inline void append_key(std::string& out, Separator& separator, std::string_view key) {
  separator.next(out);
  append_string(out, key);
  out.push_back(':');
}

}  // namespace neptune::sandbox::json_text
