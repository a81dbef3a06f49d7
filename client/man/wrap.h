#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace neptune::man {

/// Columns that UTF-8 text takes: a character each.
std::size_t columns(std::string_view text);

/// Fills lines up to the width (0: without end); every line begins with `indent`, the first with `first`.
std::string wrap(std::string_view text, std::size_t width, std::string_view first, std::string_view indent);

}  // namespace neptune::man
