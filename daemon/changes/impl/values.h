#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <variant>
#include <vector>

#include "changes/impl/json.h"
#include "changes/impl/moment.h"
#include "changes/impl/verdict.h"

/// Values of metadata fields, and the fields of a section ("assign", "append").
namespace neptune::changes {

struct StringSet {
  std::vector<std::string> values;
};

struct Histogram {
  std::vector<double> edges;          ///< increasing, one more than values
  std::vector<std::uint64_t> counts;  ///< empty: densities
  std::vector<double> densities;
};

using Value = std::variant<double, std::int64_t, bool, std::string, Moment, StringSet, Histogram>;

/// What a plain JSON number stands for: in an assignment a whole number is an int, in a series every number is a float.
enum class Numbers : std::uint8_t { as_written, floats };

/// Has exactly the members "type" and "value".
bool is_typed(const Json& value);

Value read_value(const Json& value, Numbers numbers, const std::string& field, Verdict& verdict);
std::optional<double> read_double(const Json& value, const std::string& field, Verdict& verdict);
std::optional<std::int64_t> read_integer(const Json& value, const std::string& field, Verdict& verdict);

/// An object that has a "value" and more, and so can only be meant as a point: not as series below a folder. What is
/// not among `known` is refused. `field`: "append.loss".
bool is_point(const Json& value);
void refuse_unknown_in_point(const Json& point, const std::vector<std::string_view>& known, const std::string& field,
                             Verdict& verdict);

/// Calls `take` for each field of a section: nested objects are parts of paths, up to what `is_leaf` says is a value.
/// Checks the paths, and that none is given twice.
void each_field(const Json& section, const std::string& name, const std::function<bool(const Json&)>& is_leaf,
                const std::function<void(const std::string& path, const Json&, const std::string& field)>& take,
                Verdict& verdict);

}  // namespace neptune::changes
