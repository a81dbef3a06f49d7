#include "changes/impl/moment.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>

#include "changes/limits.h"

namespace neptune::changes {

namespace {

/// Takes exactly `count` digits from the front.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, std::string_view one_of) {
  if (text.empty() || one_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// "T12:30:00" as seconds of the day.
std::optional<int> take_time_of_day(std::string_view& text) {
  if (!take(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59 || !take(text, ":")) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *second > 59) return std::nullopt;
  return *hour * 3600 + *minute * 60 + *second;
}

/// ".123" as nanoseconds; 0 when there is no fraction.
std::optional<std::int32_t> take_fraction(std::string_view& text) {
  if (!take(text, ".")) return 0;
  std::int32_t nanos = 0, unit = 100'000'000;
  std::size_t count = 0;
  for (; count < text.size() && text[count] >= '0' && text[count] <= '9'; ++count, unit /= 10)
    nanos += (text[count] - '0') * unit;
  text.remove_prefix(count);
  if (count == 0 || count > 9) return std::nullopt;
  return nanos;
}

/// "Z" or "+02:00", in seconds east of UTC.
std::optional<int> take_offset(std::string_view& text) {
  if (take(text, "Zz")) return 0;
  const bool west = text.starts_with('-');
  if (!take(text, "+-")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  const int seconds = *hour * 3600 + *minute * 60;
  return west ? -seconds : seconds;
}

/// The digits of a number, and the power of ten they are multiplied by.
struct Decimal {
  std::string digits;
  std::int64_t exponent = 0;
  bool negative = false;
};

std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal out;
  out.negative = text.starts_with('-');
  if (out.negative) text.remove_prefix(1);
  bool fraction = false;
  std::size_t at = 0;
  for (; at < text.size() && text[at] != 'e' && text[at] != 'E'; ++at) {
    if (text[at] == '.') {
      fraction = true;
      continue;
    }
    if (text[at] < '0' || text[at] > '9') return std::nullopt;
    out.digits += text[at];
    if (fraction) --out.exponent;
  }
  if (at < text.size()) {
    auto power = text.substr(at + 1);
    const bool down = power.starts_with('-');
    if (down || power.starts_with('+')) power.remove_prefix(1);
    std::int64_t value = 0;
    const auto read = std::from_chars(power.data(), power.data() + power.size(), value);
    if (read.ec == std::errc::invalid_argument) return std::nullopt;
    // Past a million either way the value is out of any range, unless it is zero.
    if (read.ec != std::errc() || value > 1'000'000) value = 1'000'000;
    out.exponent += down ? -value : value;
  }
  out.digits.erase(0, std::min(out.digits.find_first_not_of('0'), out.digits.size()));
  while (out.digits.ends_with('0')) {
    out.digits.pop_back();
    ++out.exponent;
  }
  return out;
}

}  // namespace

Moment Moment::from_ms(std::int64_t ms) {
  auto seconds = ms / 1000;
  auto rest = ms % 1000;
  if (rest < 0) {
    --seconds;
    rest += 1000;
  }
  return {seconds, static_cast<std::int32_t>(rest * 1'000'000)};
}

std::int64_t Moment::ms() const {
  return seconds * 1000 + nanos / 1'000'000;
}

std::optional<Moment> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto y = take_digits(text, 4);
  if (!y || !take(text, "-")) return std::nullopt;
  const auto m = take_digits(text, 2);
  if (!m || !take(text, "-")) return std::nullopt;
  const auto d = take_digits(text, 2);
  if (!d) return std::nullopt;
  const year_month_day date{year(*y), month(static_cast<unsigned>(*m)), day(static_cast<unsigned>(*d))};
  if (!date.ok()) return std::nullopt;
  const auto of_day = take_time_of_day(text);
  if (!of_day) return std::nullopt;
  const auto nanos = take_fraction(text);
  if (!nanos) return std::nullopt;
  const auto offset = take_offset(text);
  if (!offset || !text.empty()) return std::nullopt;
  const std::int64_t days = sys_days(date).time_since_epoch().count();
  return Moment{days * 86'400 + *of_day - *offset, *nanos};
}

std::string Step::text() const {
  auto out = std::to_string(whole);
  if (micro == 0) return out;
  out += fmt::format(".{:06}", micro);
  while (out.ends_with('0')) out.pop_back();
  return out;
}

double Step::number() const {
  const auto digits = text();
  double value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

StepFault parse_step(std::string_view digits, Step& step) {
  auto decimal = parse_decimal(digits);
  if (!decimal) return StepFault::not_a_number;
  step = {};
  if (decimal->digits.empty()) return StepFault::none;
  if (decimal->negative) return StepFault::negative;
  const auto millionths = decimal->exponent + 6;  // a step is a whole number of millionths
  const auto length = static_cast<std::int64_t>(decimal->digits.size());
  if (length + millionths > 18) return StepFault::too_large;
  if (millionths < 0) return StepFault::too_many_decimals;
  std::uint64_t value = 0;
  for (const char c : decimal->digits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  for (std::int64_t i = 0; i < millionths; ++i) value *= 10;
  step = {value / limits::step_micro, static_cast<std::uint32_t>(value % limits::step_micro)};
  return step.whole < limits::step_whole ? StepFault::none : StepFault::too_large;
}

}  // namespace neptune::changes
