#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace neptune::testing {

/// tests/data of the source tree.
std::filesystem::path test_data();

/// Copies tests/data/run-logs/<name> (basic, fork, edge) into `folder`, which must exist, and puts the folder's own
/// path where the sample's stored paths say @DIR@. The folder may then be watched: the sample's expected.json and
/// source files lie beside the run logs.
void copy_run_log_sample(const std::string& name, const std::filesystem::path& folder);

/// run_operations.sqlite3 of every run log below `folder`, sorted.
std::vector<std::filesystem::path> run_logs_in(const std::filesystem::path& folder);

}  // namespace neptune::testing
