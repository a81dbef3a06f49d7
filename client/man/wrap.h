#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace neptune::man {

/// The first of some UTF-8 text; `columns`: 2 of what terminals draw twice as wide, 0 of an accent that is put on the
/// character before.
struct Character {
  std::size_t bytes = 0, columns = 0;
};
Character first_character(std::string_view text);

/// Columns that UTF-8 text takes.
std::size_t columns(std::string_view text);

/// Fills lines up to the width (0: without end); every line begins with `indent`, the first with `first`.
std::string wrap(std::string_view text, std::size_t width, std::string_view first, std::string_view indent);

}  // namespace neptune::man
