#include "app/carried_uploads.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "server/uploads.h"
#include "support/try.h"

namespace neptune::app {

Result<void> CarriedUploads::file(const CarriedFile& file) {
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST)
    return fail("file_not_written", fmt::format("{} cannot be made: {}", folder_.string(), std::strerror(errno)));
  NEPTUNE_TRY(sync_folder(folder_.parent_path()));
  std::random_device random;
  name_ = fmt::format("{:08x}{:08x}-{}", random(), random(), file.name);
  auto made = NewFile::make(folder_ / name_);
  if (!made) return std::unexpected(made.error());
  writing_.emplace(std::move(*made));
  return {};
}

Result<void> CarriedUploads::bytes(std::string_view piece) {
  return writing_->write(piece);
}

Result<void> CarriedUploads::give_to(sources::Handed& handed, bool known) {
  if (!writing_) return {};
  NEPTUNE_TRY(writing_->finish());
  writing_.reset();
  const auto path = folder_ / std::exchange(name_, {});
  std::error_code error;
  if (known) {
    std::filesystem::remove(path, error);
    return {};
  }
  NEPTUNE_TRY(sync_folder(folder_));
  auto& change = handed.changes.front();
  auto upload = read_upload(change.payload);
  if (!upload) return std::unexpected(upload.error());
  const auto seen = server::identify({path.string(), {}, std::nullopt});
  if (!seen) return std::unexpected(seen.error());
  upload->copy = true;
  upload->copied_as = path.filename().string();
  upload->seen = FileUpload::Seen{seen->inode, seen->size, seen->mtime_ns};
  change.payload = upload_json(*upload);
  return {};
}

}  // namespace neptune::app
