#pragma once

#include <string>

#include "tests/integration/box.h"

namespace neptune::testing {

/// Leaves a closed run log in the box's watched folder: a create, and `operations` operations with one point each of
/// the series "train/loss" (1/step).
void write_loss_log(const Box& box, const std::string& project, const std::string& run, int operations);

/// Empty when the server holds that run ("workspace/project/run") with every point once and in order; else what is
/// missing.
std::string misses_of_loss_log(Box& box, const std::string& run, int operations);

}  // namespace neptune::testing
