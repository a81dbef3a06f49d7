#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "config/config.h"
#include "support/parse_size.h"

namespace neptune::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array kDurations{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000},
                                Unit{"d", 86'400'000}};

// A hundred years: far past any sensible wait, and added to a clock it still does not overflow.
constexpr std::uint64_t kLongest = 36'500ull * 86'400'000;

/// "20GiB" as 20 and "GiB"; nothing when it does not begin with a number.
struct Quantity {
  std::uint64_t number;
  std::string unit;
};

std::optional<Quantity> split(std::string_view text) {
  Quantity result{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result.number);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
  result.unit = std::string(text);
  return result;
}

template <std::size_t N>
std::optional<std::uint64_t> scale(const Quantity& quantity, const std::array<Unit, N>& units, std::uint64_t largest) {
  const auto unit = std::ranges::find(units, std::string_view(quantity.unit), &Unit::name);
  if (unit == units.end() || quantity.number > largest / unit->factor) return std::nullopt;
  return quantity.number * unit->factor;
}

/// What is shown of a text that was not understood: enough to find it again.
std::string shown(std::string_view text) {
  return text.size() <= 40 ? std::string(text) : std::string(text.substr(0, 40)) + "...";
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto quantity = split(text);
  const auto ms = quantity ? scale(*quantity, kDurations, kLongest) : std::nullopt;
  if (!ms)
    return fail("invalid_duration", fmt::format("'{}' is not a duration; write a whole number and ms, s, m, h or d, "
                                                "at most 36500d: \"30s\", \"15m\", \"24h\"",
                                                shown(text)));
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bytes = parse_size(text);
  if (!bytes)
    return fail("invalid_size", fmt::format("'{}' is not a size; write a whole number and B, KiB, MiB, GiB or TiB "
                                            "(or kB, MB, GB, TB), less than 8 EiB: \"20GiB\", \"500MB\"",
                                            shown(text)));
  return *bytes;
}

}  // namespace neptune::config
