#include "tests/sandbox/json_text.h"

#include <charconv>
#include <cmath>

namespace neptune::sandbox::json_text {

namespace {

template <class T>
void append_number(std::string& out, T value) {
  char text[32];
  const auto result = std::to_chars(text, text + sizeof text, value);
  out.append(text, result.ptr);
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out.append("\\u00");
      out.push_back(hex[(c >> 4) & 0xF]);
      out.push_back(hex[c & 0xF]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

void append_double(std::string& out, double value) {
  if (std::isnan(value)) {
    out.append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out.append(value < 0 ? "-Infinity" : "Infinity");
    return;
  }
  const auto start = out.size();
  append_number(out, value);
  if (out.find_first_of(".e", start) == std::string::npos) out.append(".0");
}

void append_integer(std::string& out, std::int64_t value) {
  append_number(out, value);
}
void append_integer(std::string& out, std::uint64_t value) {
  append_number(out, value);
}

}  // namespace neptune::sandbox::json_text
