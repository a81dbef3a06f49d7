#pragma once

#include <cstddef>

namespace neptune::man {

/// Columns of a terminal, or what COLUMNS says where it does not tell; 80 otherwise.
std::size_t columns_of(int descriptor);

/// A terminal that nothing can be drawn on.
bool is_dumb_terminal();

/// Columns of the terminal that a descriptor is; 0 when it is none that can draw.
std::size_t terminal_width(int descriptor);

}  // namespace neptune::man
