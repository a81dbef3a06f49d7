#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// core::Refusal::part of an update that was handed in by ingestion: which of its values (wire::values_of) were
/// refused.
namespace neptune::engine {

std::string part_of(const std::vector<std::string>& values);

/// None where the part is of another form.
std::optional<std::vector<std::string>> values_in(std::string_view part);

}  // namespace neptune::engine
