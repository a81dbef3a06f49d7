#include "sources/client_dir/dir_making.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "sources/client_dir/dir_files.h"
#include "sources/client_dir/object_scan.h"
#include "support/try.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

std::unexpected<Error> not_made(const fs::path& path, int error) {
  return fail("client_dir_not_made",
              fmt::format("the 1.x directory {} cannot be made: {}", path.string(), std::strerror(error)));
}

Result<void> set_time(const fs::path& file, std::int64_t written_ms) {
  const timespec at{.tv_sec = written_ms / 1000, .tv_nsec = (written_ms % 1000) * 1'000'000};
  const timespec times[2] = {at, at};
  if (::utimensat(AT_FDCWD, file.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0) return {};
  return not_made(file, errno);
}

std::string logged(Position version, double at, std::string_view json) {
  return fmt::format("{{\"obj\": {}, \"version\": {}, \"at\": {}}}\n", json, version, at);
}

}  // namespace

bool is_whole_object(std::string_view json) {
  const auto text = logged(1, 1, json);
  const auto found = scan_object(text, 0);
  return json.starts_with('{') && found.end == ScanEnd::object && found.object.end + 1 == text.size() &&
         found.object.obj_end - found.object.obj_begin == json.size();
}

Result<DirMaker> DirMaker::begin(const fs::path& building, const std::string& metadata) {
  DirMaker maker(building);
  std::error_code error;
  fs::remove_all(building, error);
  if (!error) fs::create_directories(building / "upload_path", error);
  if (error) return not_made(building, error.value());
  NEPTUNE_TRY(maker.write_whole("metadata.json", metadata));
  return maker;
}

Result<void> DirMaker::begin_writing(const fs::path& file) {
  NEPTUNE_TRY(end_writing());
  auto made = NewFile::make(file);
  if (!made) return std::unexpected(made.error());
  file_.emplace(std::move(*made));
  return {};
}

Result<void> DirMaker::end_writing() {
  if (file_) NEPTUNE_TRY(file_->finish());
  file_.reset();
  return {};
}

Result<void> DirMaker::write_whole(const char* name, std::string_view text) {
  NEPTUNE_TRY(begin_writing(building_ / name));
  NEPTUNE_TRY(file_->write(text));
  return end_writing();
}

Result<void> DirMaker::begin_file(const std::string& name) {
  return begin_writing(building_ / "upload_path" / name);
}

Result<void> DirMaker::add_bytes(std::string_view piece) {
  return file_->write(piece);
}

Result<void> DirMaker::add_operation(Position version, double at, std::string_view json) {
  if (first_ == 0) NEPTUNE_TRY(begin_writing(building_ / data_file_name(version)));
  if (first_ == 0) first_ = version;
  last_ = version;
  return file_->write(logged(version, at, json));
}

Result<void> DirMaker::finish(Position put, std::int64_t written_ms) {
  NEPTUNE_TRY(end_writing());
  NEPTUNE_TRY(write_whole("last_put_version", std::to_string(std::max(put, last_))));
  NEPTUNE_TRY(write_whole("last_ack_version", std::to_string(first_ - 1)));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto written = std::min<std::int64_t>(written_ms, std::chrono::floor<std::chrono::milliseconds>(now).count());
  for (const auto& name : {std::string("metadata.json"), std::string("last_put_version"),
                           std::string("last_ack_version"), data_file_name(first_)})
    NEPTUNE_TRY(set_time(building_ / name, written));
  NEPTUNE_TRY(sync_folder(building_ / "upload_path"));
  return sync_folder(building_);
}

Result<void> DirMaker::place(const fs::path& building, const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory.parent_path(), error);
  if (error) return not_made(directory, error.value());
  if (const int failed = rename_to_new(building.c_str(), directory.c_str()); failed != 0)
    return not_made(directory, failed);
  return sync_folder(directory.parent_path());
}

}  // namespace neptune::sources
