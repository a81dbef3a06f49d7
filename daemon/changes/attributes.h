#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

/// Attribute operations of models, model versions and projects, as the 1.x/2.x server takes them (docs/protocol.md,
/// "Containers and attribute operations").
namespace neptune {

/// A point's place in a series; such an operation is not idempotent on the server.
struct SeriesPoint {
  std::optional<double> step{};  ///< none: the server counts on; the sender puts one in before it is sent
  bool text = false;             ///< of a string series
  bool image = false;            ///< of an image series: the server tells its length, and no last step
};

/// One operation: `{"path": path, op: body}`.
struct AttributeOperation {
  std::string path;                    ///< "metrics/loss"
  std::string op;                      ///< "assignFloat", "logFloats", ... the wire's word
  std::string body;                    ///< JSON
  std::optional<SeriesPoint> point{};  ///< of logFloats, logStrings and logImages with one entry
};

/// The operations of a queued model.update, model_version.update or project.metadata (the payload of its Change), in
/// the order they are to be applied. `at_ms`: when it was accepted, for points that name no time.
Result<std::vector<AttributeOperation>> read_attributes(std::string_view payload, std::int64_t at_ms);

/// A run's update as attribute operations, for a server that has no ingestion.
struct LeaderboardUpdate {
  std::vector<AttributeOperation> operations;
  struct LeftOut {
    std::string path, reason;  ///< a sentence
  };
  std::vector<LeftOut> left_out;  ///< what such a server cannot hold: histograms, file references, NaN
};

/// What of a run's create (a serialized Run) such a server is told.
struct LeaderboardCreate {
  std::string experiment;   ///< empty: none
  std::string forked_from;  ///< the parent's id; empty: the run is no fork
};
Result<LeaderboardCreate> leaderboard_create(std::string_view create);

/// Reads a run's update (a serialized UpdateRunSnapshot, as a run log or the change queue holds it). `at_ms`: the time
/// of an update that says none. Preview points are dropped: such a server would take them for final ones, and the final
/// ones that follow them at the same steps would be lost.
Result<LeaderboardUpdate> leaderboard_operations(std::string_view update, std::int64_t at_ms);

/// Gives a point that has no step one: in its body, and in `point`. Leaves every other operation alone.
void set_step(AttributeOperation& operation, double step);

}  // namespace neptune
