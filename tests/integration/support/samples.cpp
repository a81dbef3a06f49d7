#include "tests/integration/support/samples.h"

#include <algorithm>

#include "tests/integration/support/sqlite.h"

namespace neptune::testing {

namespace fs = std::filesystem;

fs::path test_data() {
  return NEPTUNE_TEST_DATA_DIR;
}

void copy_run_log_sample(const std::string& name, const fs::path& folder) {
  fs::copy(test_data() / "run-logs" / name, folder, fs::copy_options::recursive);
  for (const auto& log : run_logs_in(folder)) {
    fs::permissions(log, fs::perms::owner_write, fs::perm_options::add);
    fs::permissions(log.parent_path(), fs::perms::owner_all, fs::perm_options::add);
    const auto db = sqlite::open(log.string());
    const auto statement =
        sqlite::prepare(db, "UPDATE file_upload_requests SET source_path = replace(source_path, '@DIR@', ?1)");
    sqlite::bind(statement.get(), 1, folder.string());
    sqlite::run(db, statement);
  }
}

std::vector<fs::path> run_logs_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename() == "run_operations.sqlite3") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace neptune::testing
