#include "client/man/wrap.h"

#include <algorithm>

namespace neptune::man {

std::size_t columns(std::string_view text) {
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; };
  return static_cast<std::size_t>(std::ranges::count_if(text, begins));
}

std::string wrap(std::string_view text, std::size_t width, std::string_view first, std::string_view indent) {
  std::string out(first);
  std::size_t used = columns(first);
  bool line_is_empty = true;
  while (!text.empty()) {
    const auto space = text.find(' ');
    const auto word = text.substr(0, space);
    const auto length = columns(word);
    if (!line_is_empty && width > 0 && used + 1 + length > width) {
      out += '\n';
      out += indent;
      used = columns(indent);
      line_is_empty = true;
    }
    if (!line_is_empty) out += ' ';
    used += length + (line_is_empty ? 0 : 1);
    out += word;
    line_is_empty = false;
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
  }
  return out + "\n";
}

}  // namespace neptune::man
