#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "app/portable_records.h"
#include "changes/file_upload.h"
#include "sources/change_queue/queue_store.h"
#include "support/error.h"
#include "support/new_file.h"

namespace neptune::app {

/// Files that changes of a queue upload, on the machine that takes them: copies of the daemon's own, which it deletes
/// when they are on the server, or when no change needs them.
class CarriedUploads {
 public:
  explicit CarriedUploads(const std::filesystem::path& state_dir) : folder_(state_dir / copies_folder) {}

  /// Its bytes follow, then the change.
  Result<void> file(const CarriedFile& file);
  Result<void> bytes(std::string_view piece);
  /// Before a change is queued: one of a file uploads the copy. One that is `known` needs none.
  Result<void> give_to(sources::Handed& handed, bool known);

 private:
  std::filesystem::path folder_;
  std::string name_;  // of the copy that waits for its change
  std::optional<NewFile> writing_;
};

}  // namespace neptune::app
