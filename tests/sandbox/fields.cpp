#include "tests/sandbox/fields.h"

#include <fmt/format.h>

#include <chrono>

namespace neptune::sandbox {

std::string Datetime::text() const {
  using namespace std::chrono;
  const sys_seconds time{std::chrono::seconds(seconds)};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  auto out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                         static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                         clock.minutes().count(), clock.seconds().count());
  if (nanos != 0) {
    auto fraction = fmt::format("{:09}", nanos);
    while (fraction.ends_with("000")) fraction.resize(fraction.size() - 3);
    out += "." + fraction;
  }
  return out + "Z";
}

}  // namespace neptune::sandbox
