#include "client/lib/time.h"

#include <charconv>
#include <cstdint>

namespace neptune::api {
namespace {

/// Takes `digits` digits and the separator after them off the front.
std::optional<int> take(std::string_view& text, std::size_t digits, char separator) {
  int value = 0;
  if (text.size() < digits + 1 || text[digits] != separator) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || value < 0) return std::nullopt;
  text.remove_prefix(digits + 1);
  return value;
}

}  // namespace

std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text) {
  using namespace std::chrono;
  const auto y = take(text, 4, '-');
  const auto mo = y ? take(text, 2, '-') : std::nullopt;
  const auto d = mo ? take(text, 2, 'T') : std::nullopt;
  const auto h = d ? take(text, 2, ':') : std::nullopt;
  const auto mi = h ? take(text, 2, ':') : std::nullopt;
  if (!mi) return std::nullopt;
  const char after_seconds = text.size() > 2 ? text[2] : '\0';
  const auto s = after_seconds == '.' || after_seconds == 'Z' ? take(text, 2, after_seconds) : std::nullopt;
  if (!s) return std::nullopt;

  std::int64_t fraction_us = 0;
  if (after_seconds == '.') {
    std::int64_t unit = 100'000;
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
      fraction_us += (text[digits++] - '0') * unit;
      unit /= 10;
    }
    if (digits == 0 || text.substr(digits) != "Z") return std::nullopt;
  } else if (!text.empty()) {
    return std::nullopt;
  }

  const year_month_day date{year(*y), month(static_cast<unsigned>(*mo)), day(static_cast<unsigned>(*d))};
  if (!date.ok() || *h > 23 || *mi > 59 || *s > 60) return std::nullopt;
  return sys_days(date) + hours(*h) + minutes(*mi) + seconds(*s) + microseconds(fraction_us);
}

}  // namespace neptune::api
