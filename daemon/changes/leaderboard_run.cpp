#include <cmath>
#include <map>

#include "changes/attributes.h"
#include "changes/impl/operations.h"
#include "proto/ingest.pb.h"

namespace neptune {

namespace {

using changes::Value;

namespace pb = ingest::v1;

/// In one order whenever it is read: what is sent again after a doubt must be the same operations.
template <class Map>
auto sorted(const Map& map) {
  return std::map<std::string, typename Map::mapped_type>(map.begin(), map.end());
}

struct SnapshotReading {
  LeaderboardUpdate out{};

  void leave_out(const std::string& path, std::string_view what) {
    out.left_out.push_back({path, "The server takes runs only as attributes, and those hold no " + std::string(what) +
                                      "; a server with ingestion does."});
  }

  /// None when the value cannot be an attribute; then it is in left_out.
  std::optional<Value> value(const std::string& path, const pb::Value& from) {
    switch (from.value_case()) {
      case pb::Value::kFloat64:
        if (std::isfinite(from.float64())) return from.float64();
        leave_out(path, "NaN or infinity");
        return std::nullopt;
      case pb::Value::kInt64:
        return std::int64_t{from.int64()};
      case pb::Value::kBool:
        return from.bool_();
      case pb::Value::kString:
        return from.string();
      case pb::Value::kTimestamp:
        return changes::Moment{from.timestamp().seconds(), from.timestamp().nanos()};
      case pb::Value::kStringSet:
        return changes::StringSet{{from.string_set().values().begin(), from.string_set().values().end()}};
      case pb::Value::kFileRef:
        leave_out(path, "references to files");
        return std::nullopt;
      case pb::Value::kHistogram:
        leave_out(path, "histograms");
        return std::nullopt;
      case pb::Value::VALUE_NOT_SET:
        leave_out(path, "values of a type this version does not know");
        return std::nullopt;
    }
    return std::nullopt;
  }

  void assign(const std::string& path, const pb::Value& from) {
    if (const auto read = value(path, from)) changes::append_assignment(out.operations, path, *read);
  }

  void modify_set(const std::string& path, const pb::ModifySet& set) {
    std::vector<std::string> add, remove;
    for (const auto& [text, operation] : sorted(set.string().values())) {
      if (operation == pb::SET_OPERATION_ADD) add.push_back(text);
      if (operation == pb::SET_OPERATION_REMOVE) remove.push_back(text);
    }
    if (!remove.empty()) out.operations.push_back(changes::strings_operation(path, "removeStrings", remove));
    if (!add.empty()) out.operations.push_back(changes::strings_operation(path, "insertStrings", add));
  }

  void append(const std::string& path, const pb::Value& from, std::optional<changes::Step> step, std::int64_t at_ms) {
    const auto read = value(path, from);
    if (!read) return;
    if (const auto* number = std::get_if<double>(&*read))
      out.operations.push_back(changes::point_operation(path, *number, step, at_ms));
    else if (const auto* text = std::get_if<std::string>(&*read))
      out.operations.push_back(changes::point_operation(path, *text, step, at_ms));
    else
      leave_out(path, "series of this type");
  }
};

}  // namespace

Result<LeaderboardCreate> leaderboard_create(std::string_view create) {
  pb::Run message;
  if (!message.ParseFromArray(create.data(), static_cast<int>(create.size())))
    return fail("invalid_create", "the run's create operation cannot be read; its log may be damaged");
  return LeaderboardCreate{message.experiment_id(), message.fork_point().parent_run_id()};
}

Result<LeaderboardUpdate> leaderboard_operations(std::string_view update, std::int64_t at_ms) {
  pb::UpdateRunSnapshot message;
  if (!message.ParseFromArray(update.data(), static_cast<int>(update.size())))
    return fail("invalid_update", "the run's update cannot be read; its log may be damaged");
  if (message.has_timestamp()) at_ms = changes::Moment{message.timestamp().seconds(), message.timestamp().nanos()}.ms();
  std::optional<changes::Step> step;
  if (message.has_step())
    step = changes::Step{message.step().whole(), static_cast<std::uint32_t>(message.step().micro())};
  SnapshotReading reading;
  for (const auto& [path, value] : sorted(message.assign())) reading.assign(path, value);
  for (const auto& [path, set] : sorted(message.modify_sets())) reading.modify_set(path, set);
  if (!message.preview().is_preview())
    for (const auto& [path, value] : sorted(message.append())) reading.append(path, value, step, at_ms);
  return std::move(reading.out);
}

}  // namespace neptune
