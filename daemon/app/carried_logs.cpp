#include "app/carried_logs.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "app/sha256.h"
#include "sources/client_dir/dir_files.h"
#include "sources/client_dir/directory_name.h"
#include "sources/run_log/log_files.h"
#include "support/try.h"

namespace neptune::app {

namespace fs = std::filesystem;

namespace {

constexpr auto all_positions = std::numeric_limits<sources::Position>::max();

/// By what a log is known again, wherever the file with it comes from.
std::string origin_of(const std::string& queue, const sources::SourceKey& key) {
  Sha256 hash;
  hash.add(fmt::format("{}\n{}\n{}\n{}\n{}", queue, key.device, key.inode, key.born_ms, key.path));
  return hash.text().substr(0, 16);
}

std::string files_of(const std::string& origin) {
  return origin + " (files)";
}

/// A watched folder need not be there yet. It is made as `mkdir` makes one by default, with what it lies in, as those
/// who log there need not be this user.
Result<void> make_watched_folder(const fs::path& folder) {
  const auto before = ::umask(022);
  std::error_code error;
  fs::create_directories(folder, error);
  ::umask(before);
  if (!error) return {};
  return fail("no_place", fmt::format("the watched folder {} is not there and cannot be made ({}); make it, or name "
                                      "another with --into",
                                      folder.string(), error.message()));
}

/// A folder of our own: nobody else can have put anything into it, a link least of all.
Result<void> make_own_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0) return {};
  const int error = errno;
  struct stat data{};
  const bool ours = error == EEXIST && ::lstat(folder.c_str(), &data) == 0 && S_ISDIR(data.st_mode) &&
                    data.st_uid == ::geteuid() && (data.st_mode & 022) == 0;
  if (ours) return {};
  return fail("no_place",
              fmt::format("logs cannot be put into {}: {}; name another watched folder with --into", folder.string(),
                          error == EEXIST ? "it is not a folder that only this user may write" : std::strerror(error)));
}

bool takes(const sources::WatchFolder& folder, const CarriedLog& log) {
  using Kind = sources::WatchFolder::Kind;
  if (log.kind == sources::Kind::run_log) return folder.kind != Kind::client_1x;
  // A run that was made offline would be created in another project.
  const bool elsewhere = log.offline && !log.project.empty() && folder.project != log.project;
  return folder.kind != Kind::run_logs && !elsewhere;
}

}  // namespace

Result<fs::path> LogPlaces::folder_for(const CarriedLog& log) const {
  for (const auto& folder : watched_) {
    if (!takes(folder, log)) continue;
    if (!into_) return folder.path;
    if (sources::is_within(into_->native(), folder.path.native())) return *into_;
  }
  std::string what = log.kind == sources::Kind::run_log ? "run logs" : "directories of the 1.x client";
  if (log.offline && !log.project.empty())
    what = fmt::format("1.x runs that were made offline for {} (project = \"{}\")", log.project, log.project);
  return fail("no_place", fmt::format("there are {} in the file, and {} for such here: add a [[watch]]. Nothing was "
                                      "taken from it.",
                                      what,
                                      into_ ? fmt::format("{} is not watched", into_->string())
                                            : std::string("no folder is watched")));
}

/// Of a move that was cut off before it was taken out of here.
Result<bool> CarriedLogs::is_still_here(const CarriedLog& log) const {
  if (!from_.here) return false;
  const bool run_log = log.kind == sources::Kind::run_log;
  const fs::path path = run_log ? sources::LogPaths(log.key.path).database : fs::path(log.key.path);
  struct stat data{};
  if (::lstat(path.c_str(), &data) != 0 || data.st_ino != log.key.inode) return false;
  const auto project = ProjectName::parse(log.project);
  const auto record =
      run_log && project ? ledger_.log_record(log.key, {*project, log.run}) : ledger_.directory_record(log.key);
  if (!record) return std::unexpected(record.error());
  if (run_log) return record->confirmed < log.last;
  const auto acked = sources::read_version(sources::open_directory(path), path, sources::VersionFile::ack);
  return std::max(record->confirmed, acked.value_or(0)) < log.last;
}

Result<void> CarriedLogs::log(CarriedLog log) {
  NEPTUNE_TRY(end());
  origin_ = origin_of(from_.queue, log.key);
  const auto folder = places_.folder_for(log);
  if (!folder) return std::unexpected(folder.error());
  const auto own = *folder / "imported";
  place_ = own / origin_;
  log_ = std::move(log);
  operations_ = files_ = 0;
  noted_ = false;
  const auto here = is_still_here(log_);
  if (!here) return std::unexpected(here.error());
  after_ = files_after_ = all_positions;
  if (*here) return {};
  NEPTUNE_TRY(make_watched_folder(*folder));
  NEPTUNE_TRY(make_own_folder(own));
  NEPTUNE_TRY(make_own_folder(place_));
  return log_.kind == sources::Kind::run_log ? begin_run_log() : begin_directory();
}

Result<void> CarriedLogs::begin_run_log() {
  const auto known = ledger_.import_of(origin_);
  if (!known) return std::unexpected(known.error());
  const auto known_files = ledger_.import_of(files_of(origin_));
  if (!known_files) return std::unexpected(known_files.error());
  after_ = known->upto;
  files_after_ = known_files->upto;
  if (after_ >= log_.last && files_after_ >= log_.last_file) return {};
  auto maker = sources::LogMaker::begin(place_ / log_.name, log_.project, log_.run);
  if (!maker) return std::unexpected(std::move(maker.error()));
  run_log_.emplace(std::move(*maker));
  return {};
}

Result<void> CarriedLogs::begin_directory() {
  const auto known = ledger_.import_of(origin_);
  if (!known) return std::unexpected(known.error());
  std::error_code error;
  // It was cut off before it had its name, or right after.
  const bool taken = known->building.empty() || !fs::exists(known->building, error);
  if (known->upto >= log_.last && taken) return {};
  after_ = files_after_ = 0;
  noted_ = known->upto >= log_.last;
  auto maker = sources::DirMaker::begin(building(), log_.metadata);
  if (!maker) return std::unexpected(std::move(maker.error()));
  directory_.emplace(std::move(*maker));
  return {};
}

Result<void> CarriedLogs::file(const CarriedFile& file) {
  file_ = file;
  left_ = file.size;
  if (directory_) {
    count_.files++;
    files_++;
    return directory_->begin_file(file.name);
  }
  if (!run_log_ || file.id <= files_after_) {
    count_.known++;
    return {};
  }
  // Not by the name that it had: two may have the same.
  file_path_ = place_ / log_.name / fmt::format("carried-{}", file.id);
  auto made = NewFile::make(file_path_);
  if (!made) return std::unexpected(made.error());
  writing_.emplace(std::move(*made));
  return left_ == 0 ? end_file() : Result<void>{};
}

Result<void> CarriedLogs::bytes(std::string_view piece) {
  if (directory_) return directory_->add_bytes(piece);
  if (!writing_) return {};
  NEPTUNE_TRY(writing_->write(piece));
  left_ -= std::min<std::uint64_t>(left_, piece.size());
  return left_ == 0 ? end_file() : Result<void>{};
}

Result<void> CarriedLogs::end_file() {
  NEPTUNE_TRY(writing_->finish());
  writing_.reset();
  count_.files++;
  files_++;
  return run_log_->add_file(file_.id, file_path_, file_.destination, file_.mime_type, file_.size);
}

Result<void> CarriedLogs::operation(CarriedOperation operation) {
  if (operation.position <= after_ || (!run_log_ && !directory_)) {
    count_.known++;
    return {};
  }
  count_.operations++;
  operations_++;
  if (directory_) return directory_->add_operation(operation.position, operation.at, operation.bytes);
  return run_log_->add_operation(operation.position, operation.creates, static_cast<std::int64_t>(operation.at),
                                 operation.bytes);
}

/// It is not told as moved any more, where it left from here.
engine::CameBack CarriedLogs::came_back(bool files) const {
  if (!from_.here || noted_) return {};
  return {.key = log_.key, .files = files, .count = files ? files_ : operations_};
}

Result<void> CarriedLogs::end_directory() {
  auto name = sources::parse_client_dir(fs::path(log_.offline ? "offline" : "async") / log_.name);
  if (!name) return std::unexpected(name.error());
  name->pid = sources::nobodys_pid;
  const auto directory = place_ / ".neptune" / (log_.offline ? "offline" : "async") / sources::directory_name_of(*name);
  NEPTUNE_TRY(directory_->finish(log_.put, log_.written_ms));
  directory_.reset();
  NEPTUNE_TRY(
      ledger_.note_import(origin_, {.upto = log_.last, .building = building().string()}, now_, came_back(false)));
  NEPTUNE_TRY(sources::DirMaker::place(building(), directory));
  NEPTUNE_TRY(ledger_.note_import(origin_, {.upto = log_.last, .building = {}}, now_));
  count_.logs++;
  return {};
}

Result<void> CarriedLogs::end() {
  if (directory_) return end_directory();
  if (!run_log_) return {};
  NEPTUNE_TRY(run_log_->place());
  run_log_.reset();
  count_.logs++;
  const auto files_upto = std::max(files_after_, log_.last_file), upto = std::max(after_, log_.last);
  NEPTUNE_TRY(ledger_.note_import(files_of(origin_), {.upto = files_upto, .building = {}}, now_, came_back(true)));
  return ledger_.note_import(origin_, {.upto = upto, .building = {}}, now_, came_back(false));
}

}  // namespace neptune::app
