#include "history_world.h"

#include <fmt/format.h>

#include <algorithm>

namespace neptune::core {

std::vector<Item>::const_iterator Lane::next(Position after) const {
  return std::ranges::upper_bound(items, after, {}, &Item::position);
}

std::vector<Item>::const_iterator Lane::first_before(Position place) const {
  return std::find_if(next(confirmed), items.end(), [place](const Item& item) { return item.place() < place; });
}

bool Lane::is_stored(Position position) const {
  return std::ranges::binary_search(stored, position);
}

std::pair<std::optional<Scope>, ServerMode> HistoryServer::mode_of(const ProjectName& project) const {
  for (const auto& scope : {Scope::of(project.workspace), Scope::of(project)})
    if (const auto it = modes.find(scope); it != modes.end() && it->second.read_only) return {scope, it->second};
  return {std::nullopt, {}};
}

void HistoryServer::process(Request& request) {
  auto& lane = lanes_[request.lane];
  const auto [scope, mode] = mode_of(lane.name.project);
  std::vector<Item> items;
  for (auto it = lane.next(request.first - 1); it != lane.items.end() && it->position <= request.last; ++it)
    items.push_back(*it);
  const auto takes = !scope ? items.size() : mode.style == Style::check_part ? items.size() / 2 : 0;
  std::map<IngestCode, std::int64_t> codes;
  for (std::size_t i = 0; i < items.size(); ++i)
    codes[i < takes ? store(lane, items[i]) : IngestCode::ingest_suspended]++;
  for (const auto& [code, n] : codes) request.status.counts.push_back({0, n, code});
  request.processed = true;
}

std::vector<Position> HistoryServer::call(std::size_t index, Position first, Position last) {
  auto& lane = lanes_[index];
  std::vector<Position> refused;
  for (auto it = lane.next(first - 1); it != lane.items.end() && it->position <= last; ++it) {
    if (it->poison) {
      refused.push_back(it->position);
    } else {
      keep(lane, it->position);
      if (it->creates_project) missing_projects.erase(lane.name.project);
    }
  }
  return refused;
}

IngestCode HistoryServer::store(Lane& lane, const Item& item) {
  if (missing_projects.contains(lane.name.project)) return IngestCode::project_not_found;
  if (item.is == Is::create) {
    if (is_created(lane.name)) return keep(lane, item.position), IngestCode::run_duplicate;
    if (!lane.parent.empty() && !is_created({lane.name.project, lane.parent}))
      return IngestCode::run_fork_parent_not_found;
    lane.created = true;
  } else if (!is_created(lane.name)) {
    return IngestCode::run_not_found;
  }
  return item.poison ? IngestCode::field_type_conflicting : keep(lane, item.position);
}

bool HistoryServer::is_created(const ContainerName& run) const {
  return std::ranges::any_of(lanes_, [&run](const Lane& lane) { return lane.name == run && lane.created; });
}

/// In order, whatever a connection that was lost, or a process that was killed, left on its way.
IngestCode HistoryServer::keep(Lane& lane, Position position) {
  if (lane.is_stored(position)) return IngestCode::series_point_duplicate;
  if (!lane.stored.empty() && lane.stored.back() > position) {
    // What was thrown away may still arrive, late and in vain.
    if (!lane.discarded.contains(position))
      violate_(fmt::format("{}: change {} stored after {}", lane.name.label(), position, lane.stored.back()));
    return IngestCode::series_step_non_increasing;
  }
  lane.stored.push_back(position);
  return IngestCode::ok;
}

}  // namespace neptune::core
