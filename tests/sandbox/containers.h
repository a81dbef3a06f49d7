#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "changes/names.h"
#include "tests/sandbox/fields.h"

/// What metadata belongs to: runs, models, model versions, and each project itself.
namespace neptune::sandbox {

struct Project;

struct SeriesConfig {
  std::optional<double> min, max;
  std::string unit;
};

/// Its address does not change while it exists.
struct Container {
  enum class Type : std::uint8_t { run, model, model_version, project };
  Type type = Type::run;
  std::string id, short_id;  ///< UUID; "CLA-7", "CLA-FOREST", "CLA-FOREST-2"; of a project its key
  std::string key;           ///< in the project's map
  std::string custom_id;     ///< runs; empty: none
  Project* project = nullptr;
  Container* model = nullptr;  ///< of a model version
  std::int64_t created_ms = 0;
  bool trashed = false, archived = false;
  Fields fields;
  std::map<std::string, SeriesConfig> series_configs;
  std::uint64_t bytes = 0;
  std::uint64_t next_version = 1;  ///< of a model
};

struct ForkPoint {
  ProjectName project;
  std::string run;
  std::uint64_t step = 0;  ///< millionths
  bool operator==(const ForkPoint&) const = default;
};

struct Run : Container {
  std::string experiment;
  std::optional<ForkPoint> fork;
  /// When the first snapshot of the latest stored batch was logged; see Totals::order_violations.
  std::optional<Datetime> latest_batch;
};

}  // namespace neptune::sandbox
