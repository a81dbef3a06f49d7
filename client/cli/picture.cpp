#include "client/cli/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "client/cli/table.h"
#include "client/lib/numbers.h"

namespace neptune::cli {

namespace {

using Lines = std::vector<std::string>;

constexpr std::size_t least_events = 3, least_streams = 3, low_screen = 20, tiny_screen = 8;

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::uint64_t left(const api::Stream& stream) {
  return stream.pending + stream.held + stream.in_flight;
}

/// Those that have something to be told of: what waits first, the largest first.
std::vector<const api::Stream*> busy(const std::vector<api::Stream>& streams) {
  std::vector<const api::Stream*> list;
  for (const auto& stream : streams)
    if (left(stream) > 0 || stream.uploads > 0) list.push_back(&stream);
  std::ranges::stable_sort(list, [](const auto* a, const auto* b) { return left(*a) > left(*b); });
  return list;
}

Lines streams_table(const std::vector<const api::Stream*>& list, std::size_t rows, const Style& style) {
  Table table({{"WAITS", false, true},
               {"PROJECT", false, true},
               {"STATE"},
               {"CHANGES", true},
               {"FILES", true, false, true},
               {"SIZE", true, false, true},
               {"WHY", false, true, true, true}});
  std::size_t shown = 0;
  for (const auto* stream : list) {
    if (++shown > rows) break;
    const bool stuck = stream->state == "held" || stream->state == "blocked";
    table.add({{name_of(*stream), Colour::bold},
               {stream->project},
               {stream->state, stuck ? Colour::yellow : Colour::plain},
               {count(left(*stream))},
               {count(stream->uploads)},
               {bytes(stream->pending_bytes)},
               {stream->why}});
  }
  return lines_of(table.render(style));
}

std::string title(const Style& style, std::string_view text) {
  return paint(style, Colour::dim, text);
}

void append(Lines& to, Lines from) {
  std::ranges::move(from, std::back_inserter(to));
}

std::string rate_line(const Rates& rates, const Style& style) {
  const auto head = fmt::format("{:>9} changes/s  ", api::grouped(static_cast<std::uint64_t>(rates.latest() + 0.5)));
  const std::size_t width = style.width > columns(head) + 24 ? style.width - columns(head) - 24 : 0;
  const auto highest = rates.highest(width > 0 ? width : std::string_view::npos);  // of what is drawn, if anything is
  return head + rates.graph(width) + title(style, fmt::format("  at most {}/s", api::grouped(highest)));
}

/// "11:59:58Z": what is shown is of the last minutes, or `neptune-sync events` tells the day.
std::string time_of_day(const std::string& time) {
  return time.size() >= 19 && time[10] == 'T' ? time.substr(11, 8) + "Z" : time;
}

Lines last_events(const std::deque<api::Event>& events, std::size_t rows, const Style& style) {
  const auto first = events.size() > rows ? events.size() - rows : 0;
  Table table({{"TIME"}, {"EVENT"}, {"MESSAGE", false, true, false, true}});
  for (auto i = first; i < events.size(); ++i)
    table.add({{time_of_day(events[i].at), Colour::dim}, {events[i].type, colour_of(events[i])}, {events[i].message}});
  auto lines = lines_of(table.render(style));
  lines.erase(lines.begin());  // the titles
  return lines;
}

bool is_closed(const api::ScopeStatus& scope) {
  return scope.own_mode() != "normal" || scope.operator_hold;
}

bool is_busy(const api::ScopeStatus& scope) {
  return scope.pending + scope.held + scope.in_flight > 0;
}

/// Where not all have room, those that take no writes are seen, and then those in which something waits.
api::Status closed_first(api::Status status) {
  const auto has_closed = [](const api::WorkspaceStatus& workspace) {
    return is_closed(workspace) || std::ranges::any_of(workspace.projects, is_closed);
  };
  std::ranges::stable_partition(status.workspaces, is_busy);
  std::ranges::stable_partition(status.workspaces, has_closed);
  for (auto& workspace : status.workspaces) {
    std::ranges::stable_partition(workspace.projects, is_busy);
    std::ranges::stable_partition(workspace.projects, is_closed);
  }
  return status;
}

/// Up to where the causes end: they stand between the first two blank lines.
std::size_t lines_of_causes(const Lines& lines) {
  const auto head = std::ranges::find(lines, "");
  return static_cast<std::size_t>(std::find(head == lines.end() ? head : head + 1, lines.end(), "") - lines.begin());
}

/// In at most so many lines: the causes, each in a line of its own where there is no room for all of their words, and
/// the first scopes.
Lines state_of(const api::Status& status, const Style& style, std::size_t rows, Now now) {
  // A blank line and what is left out; and, where there is room for it, the titles and a scope.
  const std::size_t least_scopes = rows < tiny_screen ? 2 : 4;
  const auto sorted = closed_first(status);
  auto lines = lines_of(view(sorted, style, now));
  if (lines.size() > rows && lines_of_causes(lines) + least_scopes > rows)
    lines = lines_of(view(sorted, style, now, Length::brief));
  if (lines.size() <= rows || rows < 2) return lines;
  const auto more = lines.size() - rows + 1;
  lines.resize(rows - 1);
  lines.push_back(title(style, fmt::format("… {} more lines: `neptune-sync status`", more)));
  return lines;
}

}  // namespace

void Rates::add(std::uint64_t synced, double at) {
  if (at_ >= 0 && at > at_) {
    rates_.push_back(synced >= synced_ ? static_cast<double>(synced - synced_) / (at - at_) : 0);
    if (rates_.size() > kept) rates_.pop_front();
  }
  synced_ = synced;
  at_ = at;
}

std::uint64_t Rates::highest(std::size_t width) const {
  double most = 0;
  for (std::size_t i = rates_.size() > width ? rates_.size() - width : 0; i < rates_.size(); ++i)
    most = std::max(most, rates_[i]);
  return static_cast<std::uint64_t>(most + 0.5);
}

std::string Rates::graph(std::size_t width) const {
  static constexpr std::array<std::string_view, 9> bars{"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const auto known = std::min(width, rates_.size());
  // Not as it is rounded: the highest is a whole bar.
  const auto most = std::accumulate(rates_.end() - static_cast<std::ptrdiff_t>(known), rates_.end(), 1.0,
                                    [](double a, double b) { return std::max(a, b); });
  std::string out(width - known, ' ');
  for (auto i = rates_.size() - known; i < rates_.size(); ++i) {
    // Little is not nothing.
    const auto eighths = rates_[i] <= 0 ? 0 : 1 + static_cast<std::size_t>(std::min(rates_[i] / most, 1.0) * 7);
    out += bars[eighths];
  }
  return out;
}

std::vector<std::string> picture(const Watched& watched, const Style& style, std::size_t rows, Now now) {
  Lines lines;
  if (!watched.trouble.empty()) {
    append(lines, lines_of(wrap(clean(watched.trouble) + " This is what it told last; it is asked each second.",
                                style.width, "  ! ", "    ")));
    lines.emplace_back();
  }
  // What is below has its place, however many workspaces there are; on a low screen what is wrong is more.
  const auto below = rows < tiny_screen ? 0 : rows < low_screen ? 2 : 2 + least_streams + 2 + least_events;
  append(lines, state_of(watched.status, style, rows - std::min(rows, below + lines.size()), now));
  lines.emplace_back();
  lines.push_back(rate_line(watched.rates, style));

  const auto list = busy(watched.streams);
  const auto room = rows > lines.size() ? rows - lines.size() : 0;
  if (!list.empty() && room > least_events + 3) {
    const auto most = std::max(least_streams, room - std::min(room, least_events + 4 + room / 3));
    lines.emplace_back();
    append(lines, streams_table(list, list.size() > most ? most - 1 : most, style));
    if (list.size() > most)
      lines.push_back(title(style, fmt::format("… {} more: `neptune-sync streams`", list.size() - most + 1)));
  }
  if (rows > lines.size() + 2 && !watched.events.empty()) {
    lines.emplace_back();
    lines.push_back(title(style, "LAST EVENTS"));
    append(lines, last_events(watched.events, rows - lines.size(), style));
  }
  if (lines.size() > rows) lines.resize(rows);
  for (auto& line : lines) line = cut_painted(line, style.width);
  return lines;
}

}  // namespace neptune::cli
