#include "server/impl/retry_after.h"

#include <algorithm>
#include <array>

#include "server/impl/text.h"

namespace neptune::server {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds longest = std::chrono::hours(24);

std::optional<int> number(std::string_view digits) {
  int value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

// "Sun, 06 Nov 1994 08:49:37 GMT". The two older forms of RFC 9110 are not read: no server in use writes them.
std::optional<WallTime> parse_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(3, 2) != ", " || text[7] != ' ' || text[11] != ' ' || text[16] != ' ' ||
      text[19] != ':' || text[22] != ':' || text.substr(25) != " GMT")
    return std::nullopt;
  const auto* const month = std::ranges::find(months, text.substr(8, 3));
  const auto day = number(text.substr(5, 2)), year = number(text.substr(12, 4)), hour = number(text.substr(17, 2)),
             minute = number(text.substr(20, 2)), second = number(text.substr(23, 2));
  if (month == months.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(month - months.begin()) + 1),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year > 2200) return std::nullopt;  // later than WallTime's nanoseconds reach
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::optional<milliseconds> parse_retry_after(std::string_view value, WallTime now) {
  value = trim(value);
  if (value.empty()) return std::nullopt;
  if (std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; })) {
    if (value.size() > 6) return longest;
    return std::min(milliseconds(std::chrono::seconds(*number(value))), longest);
  }
  const auto date = parse_date(value);
  if (!date) return std::nullopt;
  if (*date <= now) return milliseconds(0);
  return std::min(std::chrono::ceil<milliseconds>(*date - now), longest);
}

}  // namespace neptune::server
