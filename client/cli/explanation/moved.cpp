#include "client/cli/explanation/moved.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "client/cli/explanation/sentences.h"
#include "client/cli/views.h"

namespace neptune::cli {

namespace {

/// What left in one file.
struct Left {
  std::uint64_t changes = 0;
  std::optional<std::string> at{};
};

std::string moved_away(const std::string& what, bool one, const std::string& file, const std::optional<std::string>& at,
                       Time now) {
  return fmt::format("{} moved to another machine in {}{}, which sends {}.", what, clean(file),
                     at ? " " + since(*at, now) + " ago" : std::string(), one ? "it" : "them");
}

/// One, or several as a Stream has them.
void add_names(std::set<std::string>& names, std::string_view files) {
  constexpr std::string_view between = ", ";
  for (;;) {
    const auto end = files.find(between);
    names.emplace(files.substr(0, end));
    if (end == std::string_view::npos) return;
    files.remove_prefix(end + between.size());
  }
}

std::string takes_in(const std::string& files, bool one) {
  return fmt::format("`neptune-sync import` of {} takes {} in, there or, should it not have been done there, here.",
                     clean(files), one ? "it" : "them");
}

}  // namespace

bool add_moved(Explanation& one, const std::vector<const api::Stream*>& streams, Time now) {
  std::map<std::string, Left> files;
  for (const auto* stream : streams) {
    if (stream->moved == 0) continue;
    auto& in = files[stream->moved_to];
    in.changes += stream->moved;
    in.at = std::max(in.at, stream->moved_at);
  }
  std::set<std::string> names;
  std::uint64_t all = 0;
  for (const auto& [file, in] : files) {
    const auto what = in.changes == 1 ? "1 change was" : changes(in.changes) + " were";
    one.state += (one.state.empty() ? "" : " ") + moved_away(what, in.changes == 1, file, in.at, now);
    add_names(names, file);
    all += in.changes;
  }
  if (all == 0) return false;
  one.next += (one.next.empty() ? "" : " ") + takes_in(fmt::format("{}", fmt::join(names, " and ")), all == 1);
  if (one.waiting_for == "nothing") one.waiting_for = "moved";
  return true;
}

Explanation explain_moved(const api::ChangePlace& place, Time now) {
  return {.subject = fmt::format("Change {}", place.id),
          .state = moved_away("It was", true, place.moved_to, place.moved_at, now),
          .next = takes_in(place.moved_to, true),
          .waiting_for = "moved"};
}

}  // namespace neptune::cli
