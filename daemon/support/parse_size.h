#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace neptune {

/// "20GiB", "500 MB", "1024": a whole number and B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, in letters of either case;
/// below 8 EiB, which is what SQLite and JSON can carry as an integer.
inline std::optional<std::uint64_t> parse_size(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t factor;
  };
  constexpr std::uint64_t kilo = 1000;
  constexpr std::array units{Unit{"", 1},
                             Unit{"b", 1},
                             Unit{"kb", kilo},
                             Unit{"mb", kilo * kilo},
                             Unit{"gb", kilo * kilo * kilo},
                             Unit{"tb", kilo * kilo * kilo * kilo},
                             Unit{"kib", 1ull << 10},
                             Unit{"mib", 1ull << 20},
                             Unit{"gib", 1ull << 30},
                             Unit{"tib", 1ull << 40}};
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
  std::string name(text);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto unit = std::ranges::find(units, std::string_view(name), &Unit::name);
  if (unit == units.end() || number > INT64_MAX / unit->factor) return std::nullopt;
  return number * unit->factor;
}

}  // namespace neptune
