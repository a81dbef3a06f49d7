#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "changes/impl/fields.h"
#include "changes/impl/values.h"
#include "changes/names.h"

namespace neptune::changes {

template <class T>
using ByPath = std::vector<std::pair<std::string, T>>;

struct SeriesEntry {
  std::variant<double, std::string> value{};
  std::optional<Step> step{};
  std::optional<Moment> at{};
};

struct SeriesRange {
  std::optional<double> min{}, max{};
  std::optional<std::string> unit{};
};

/// What a model.update, model_version.update or project.metadata does, in the order it is applied.
struct AttributesChange {
  ContainerName container{};
  std::vector<std::string> deleted{};
  ByPath<std::string> clear{};  ///< "float_series", "string_series", "image_series", "string_set"
  ByPath<SeriesRange> configure{};
  ByPath<Value> assign{};
  ByPath<std::vector<std::string>> remove{}, insert{};
  ByPath<std::vector<SeriesEntry>> append{};  ///< of one type each
};

AttributesChange read_attributes(ChangeKind kind, Fields& fields);

/// The compact JSON that read_attributes reads back.
std::string attributes_json(ChangeKind kind, const AttributesChange& change);

}  // namespace neptune::changes
