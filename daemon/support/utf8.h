#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace neptune {

/// The character that a text begins with; of no bytes where it begins with none (overlong forms and surrogates are
/// none).
struct Utf8Character {
  std::size_t bytes = 0;
  char32_t code = 0;
};

inline Utf8Character first_utf8_character(std::string_view text) {
  if (text.empty()) return {};
  const auto first = static_cast<std::uint8_t>(text.front());
  if (first < 0x80) return {1, first};
  const std::size_t bytes = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (bytes == 0 || bytes > text.size()) return {};
  char32_t code = first & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    if ((byte & 0xC0) != 0x80) return {};
    code = code << 6 | (byte & 0x3Fu);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
  return {bytes, code};
}

/// How much of a text is UTF-8, from its beginning on.
inline std::size_t utf8_part(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size()) {
    const auto one = first_utf8_character(text.substr(end));
    if (one.bytes == 0) break;
    end += one.bytes;
  }
  return end;
}

inline bool is_utf8(std::string_view text) {
  return utf8_part(text) == text.size();
}

}  // namespace neptune
