#include "sources/removal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "sources/client_dir/producer.h"
#include "sources/folder_watch/file_system.h"
#include "sources/run_log/lock_table.h"
#include "sources/run_log/log_files.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

/// FNV-1a, 64 bits: it tells versions of one directory apart, and guards against nobody.
class Hash {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  void add(std::int64_t number) { add(std::to_string(number) + ";"); }
  std::string text() const { return std::to_string(value_); }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

std::unexpected<Error> unreadable(const fs::path& path, const std::string& why) {
  return fail("directory_unreadable", path.string() + " cannot be looked at (" + why + ")");
}

Result<void> nobody_has_log_open(const fs::path& directory) {
  const auto locks = LockTable::read();
  if (!locks) return std::unexpected(locks.error());
  const auto shm_path = directory / (std::string(run_log_file) + "-shm");
  struct stat shm{};
  if (::stat(shm_path.c_str(), &shm) != 0) return {};
  const auto& holders = locks->holders({shm.st_dev, shm.st_ino}, file_system_of(directory).lock_device);
  if (holders.empty()) return {};
  return fail("in_use", "process " + std::to_string(holders.front()) + " has it open");
}

Result<void> nobody_has_it_open(const Removal& removal) {
  if (removal.kind == RemovalKind::run_log) return nobody_has_log_open(removal.directory);
  if (held_open_by_anybody(removal.directory)) return fail("in_use", "a process has it open");
  return {};
}

std::unexpected<Error> not_removed(const fs::path& path, const std::error_code& error) {
  return fail("not_removed", path.string() + " cannot be removed (" + error.message() + ")");
}

/// The database first: without it, what is left is nobody's.
Result<void> remove_log(const Removal& removal) {
  std::error_code error;
  fs::remove(removal.directory / run_log_file, error);
  if (error) return not_removed(removal.directory / run_log_file, error);
  std::error_code ignored;
  for (const char* beside : {"-wal", "-shm"})
    fs::remove(removal.directory / (std::string(run_log_file) + beside), ignored);
  for (const auto& name : removal.files)
    if (!name.empty() && name.find('/') == std::string::npos) fs::remove(removal.directory / name, ignored);
  fs::remove(removal.directory, ignored);  // stays when something else is in it
  return {};
}

}  // namespace

Beside beside_log(const fs::path& directory, const std::vector<std::string>& gone) {
  Beside beside;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const auto name = entry->path().filename().string();
    const bool goes = name.starts_with(run_log_file) || std::ranges::find(gone, name) != gone.end();
    if (entry.depth() == 0 && goes) continue;
    struct stat data{};
    if (::lstat(entry->path().c_str(), &data) == 0) beside.bytes += static_cast<std::uint64_t>(data.st_blocks) * 512;
    if (entry.depth() == 0) beside.names.push_back(name);
  }
  std::ranges::sort(beside.names);
  if (beside.names.size() > most_beside) beside.names.resize(most_beside);
  return beside;
}

Result<std::string> fingerprint(const fs::path& directory) {
  struct stat data{};
  if (::lstat(directory.c_str(), &data) != 0) return unreadable(directory, std::strerror(errno));
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (!entry->path().native().ends_with("-shm")) files.push_back(entry->path());
  if (error) return unreadable(directory, error.message());
  std::ranges::sort(files);
  Hash hash;
  hash.add(static_cast<std::int64_t>(data.st_dev));
  hash.add(static_cast<std::int64_t>(data.st_ino));
  for (const auto& file : files) {
    if (::lstat(file.c_str(), &data) != 0) return unreadable(file, std::strerror(errno));
    hash.add(file.native());
    hash.add(static_cast<std::int64_t>(data.st_ino));
    if (S_ISDIR(data.st_mode)) continue;
    hash.add(data.st_size);
    hash.add(data.st_mtim.tv_sec);
    hash.add(data.st_mtim.tv_nsec);
  }
  return hash.text();
}

Result<void> remove_own(const Removal& removal) {
  struct stat data{};
  if (::lstat(removal.directory.c_str(), &data) != 0) return unreadable(removal.directory, std::strerror(errno));
  if (!S_ISDIR(data.st_mode) || data.st_uid != ::geteuid()) return fail("not_yours", "it is not a directory of yours");
  if (auto open = nobody_has_it_open(removal); !open) return open;
  // After that: whoever wrote it before is seen by what was written.
  const auto now = fingerprint(removal.directory);
  if (!now) return std::unexpected(now.error());
  if (*now != removal.fingerprint)
    return fail("changed",
                "something was written to it after the daemon had looked at it; run `neptune-sync tidy` again");
  if (removal.kind == RemovalKind::run_log) return remove_log(removal);
  std::error_code error;
  fs::remove_all(removal.directory, error);
  if (error) return not_removed(removal.directory, error);
  return {};
}

}  // namespace neptune::sources
