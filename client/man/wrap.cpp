#include "client/man/wrap.h"

#include <algorithm>
#include <array>
#include <utility>

namespace neptune::man {

namespace {

using Range = std::pair<std::uint32_t, std::uint32_t>;  // with its end

constexpr std::array accents{Range{0x300, 0x36F}, Range{0x200B, 0x200F}, Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F}};
/// Unicode's East Asian wide and full-width, and pictures.
constexpr std::array wide{Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0xA4CF},
                          Range{0xA960, 0xA97F},   Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},
                          Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},
                          Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1F9FF},
                          Range{0x20000, 0x3FFFD}};

template <std::size_t N>
bool is_in(const std::array<Range, N>& ranges, std::uint32_t code) {
  return std::ranges::any_of(ranges,
                             [code](const Range& range) { return code >= range.first && code <= range.second; });
}

}  // namespace

Character first_character(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  Character one{1, 1};
  while (one.bytes < text.size() && one.bytes < 4 && (byte(one.bytes) & 0xC0u) == 0x80u) ++one.bytes;
  if (one.bytes == 1) return one;
  auto code = byte(0) & (0xFFu >> (one.bytes + 1));
  for (std::size_t i = 1; i < one.bytes; ++i) code = (code << 6u) | (byte(i) & 0x3Fu);
  one.columns = is_in(accents, code) ? 0 : is_in(wide, code) ? 2 : 1;
  return one;
}

std::size_t columns(std::string_view text) {
  std::size_t sum = 0;
  while (!text.empty()) {
    const auto one = first_character(text);
    sum += one.columns;
    text.remove_prefix(one.bytes);
  }
  return sum;
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
