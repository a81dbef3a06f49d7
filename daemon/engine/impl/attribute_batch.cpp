#include "engine/impl/attribute_batch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "changes/client_operation.h"
#include "changes/limits.h"
#include "engine/impl/attribute_calls.h"
#include "engine/impl/part.h"

namespace neptune::engine {

namespace {

/// core::Refusal::part: "" is all of a change, "-" nothing of what can be sent, else places: "0,2"; or values
/// (impl/part.h).
using Places = std::optional<std::set<std::size_t>>;  // none: all

Places read_part(std::string_view text, const std::vector<AttributeOperation>& operations) {
  if (text.empty()) return std::nullopt;
  if (const auto values = values_in(text)) {
    std::set<std::size_t> places;
    for (std::size_t place = 0; place < operations.size(); ++place)
      for (const auto& value : *values)
        if (value.substr(1) == operations[place].path) places.insert(place);
    return places;
  }
  std::set<std::size_t> places;
  for (const auto* at = text.data(); at < text.data() + text.size(); ++at) {
    std::size_t place = 0;
    const auto read = std::from_chars(at, text.data() + text.size(), place);
    if (read.ec == std::errc()) places.insert(place);
    at = read.ptr;
  }
  return places;
}

std::string part_text(const std::set<std::size_t>& places) {
  return places.empty() ? "-" : fmt::format("{}", fmt::join(places, ","));
}

/// What a 1.x client logged; what cannot be sent is left out.
Result<LeaderboardUpdate> read_logged(std::string_view json, std::int64_t at_ms) {
  auto logged = read_client_operation(json, at_ms);
  if (!logged) return std::unexpected(std::move(logged.error()));
  LeaderboardUpdate update{std::move(logged->operations), {}};
  for (auto& [path, reason] : logged->left_out) update.left_out.push_back({std::move(path), std::move(reason)});
  return update;
}

Result<LeaderboardUpdate> read(const sources::QueuedChange& change) {
  const auto at_ms = to_unix_ms(change.at);
  if (change.kind == ChangeKind::client_operation) return read_logged(change.payload, at_ms);
  if (change.kind == ChangeKind::run_update) return leaderboard_operations(change.payload, at_ms);
  auto operations = read_attributes(change.payload, at_ms);
  if (!operations) return std::unexpected(std::move(operations.error()));
  return LeaderboardUpdate{std::move(*operations), {}};
}

bool empties(const std::string& op) {
  return op == "deleteAttribute" || op.starts_with("clear");
}

/// What each attribute is done to, by one change or by all of a batch. Empty: different things, or it is emptied.
using Doings = std::map<std::string, std::string, std::less<>>;

Doings doings_of(const std::vector<AttributeOperation>& operations) {
  Doings doings;
  for (const auto& each : operations) {
    const auto& [at, added] = doings.emplace(each.path, each.op);
    if (empties(each.op) || (!added && at->second != each.op)) at->second.clear();
  }
  return doings;
}

/// Whether nothing of the point's series is left after the operation.
bool empties_series(const std::string& op, const SeriesPoint& point) {
  if (op == "deleteAttribute") return true;
  return op == (point.image ? "clearImageSeries" : point.text ? "clearStringSeries" : "clearFloatSeries");
}

bool can_be_told_apart(const Doings& own, const Doings& others) {
  return std::ranges::none_of(own, [&others](const auto& doing) {
    const auto other = others.find(doing.first);
    return other != others.end() && (doing.second.empty() || doing.second != other->second);
  });
}

void add(AttributeBatch& batch, const sources::QueuedChange& change, std::vector<AttributeOperation> operations) {
  const auto places = read_part(change.part, operations);
  std::map<std::string, std::size_t, std::less<>> emptied;  // by path, the last operation that does it
  for (std::size_t place = 0; place < operations.size(); ++place) {
    if (places && !places->contains(place)) continue;
    auto& each = operations[place];
    const auto index = batch.operations.size();
    if (empties(each.op)) emptied[each.path] = index;
    std::optional<std::size_t> emptied_by;
    if (const auto at = emptied.find(each.path); at != emptied.end() && each.point)
      if (empties_series(batch.operations[at->second].operation.op, *each.point)) emptied_by = at->second;
    batch.operations.push_back({std::move(each), change.position, place, emptied_by});
  }
}

constexpr std::string_view rest_stored = " (the rest of the change was stored)";

}  // namespace

AttributeBatch batch_of(const std::vector<sources::QueuedChange>& changes) {
  AttributeBatch batch;
  Doings doings;
  for (const auto& change : changes) {
    if (goes_alone(change)) break;
    auto update = read(change);
    if (!update) {
      batch.refused.push_back({change.position, update.error().code, update.error().message});
    } else {
      auto& own = update->operations;
      auto own_doings = doings_of(own);
      const bool fits = batch.operations.size() + own.size() <= limits::attribute_operations;
      if (!batch.operations.empty() && (!fits || !can_be_told_apart(own_doings, doings))) break;
      if (!update->left_out.empty()) {
        const auto& [path, reason] = update->left_out.front();
        batch.refused.push_back({change.position, "no_such_attribute",
                                 fmt::format("{}: {}{}", path, reason, own.empty() ? "" : rest_stored),
                                 own.empty() ? std::string() : part_text({})});
      }
      add(batch, change, std::move(own));
      doings.merge(std::move(own_doings));
    }
    batch.changes++;
    batch.last = change.position;
  }
  return batch;
}

std::vector<core::Refusal> refusals_of(const AttributeBatch& batch, const std::vector<RefusedOperation>& refused) {
  std::map<sources::Position, core::Refusal> found;
  std::map<sources::Position, std::set<std::size_t>> places;
  std::map<sources::Position, std::size_t> sent;
  std::map<sources::Position, std::string> others;          // what was refused besides the first
  std::map<sources::Position, std::set<std::string>> told;  // each once
  for (const auto& each : batch.operations) sent[each.change]++;
  for (const auto& refusal : batch.refused) found.emplace(refusal.position, refusal);
  for (const auto& each : refused) {
    const auto& operation = batch.operations.at(each.index);
    places[operation.change].insert(operation.place);
    const bool first =
        found.try_emplace(operation.change, core::Refusal{operation.change, each.code, each.reason}).second;
    const bool is_new = told[operation.change].insert(each.reason).second;
    if (!first && is_new) others[operation.change] += "; " + each.reason;
  }
  std::vector<core::Refusal> out;
  for (auto& [position, refusal] : found) {
    if (const auto which = places.find(position); which != places.end()) {
      refusal.part = part_text(which->second);
      refusal.reason += others[position];
      if (which->second.size() < sent[position] && !refusal.reason.ends_with(rest_stored))
        refusal.reason += rest_stored;
    }
    out.push_back(std::move(refusal));
  }
  return out;
}

bool names_values(std::string_view part) {
  return values_in(part).has_value();
}

std::vector<std::string> refused_attributes(ChangeKind kind, std::string_view part, const std::string& payload) {
  std::set<std::string> names;
  if (const auto values = values_in(part)) {
    for (const auto& value : *values) names.insert(value.substr(1));
  } else if (!part.empty()) {
    sources::QueuedChange change;
    change.kind = kind;
    change.payload = payload;
    const auto update = read(change);
    if (!update) return {};
    for (const auto place : read_part(part, update->operations).value_or(std::set<std::size_t>{}))
      if (place < update->operations.size()) names.insert(update->operations[place].path);
    for (const auto& [path, reason] : update->left_out) names.insert(path);
  }
  return {names.begin(), names.end()};
}

}  // namespace neptune::engine
