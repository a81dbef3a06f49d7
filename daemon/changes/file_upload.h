#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "changes/change.h"
#include "changes/names.h"
#include "support/error.h"

namespace neptune {

inline constexpr auto copies_folder = "files";  ///< in the state directory: where FileUpload::copied_as is

/// A file on its way to the server: what a run.upload says and the daemon adds to it when it takes it, or a request of
/// a run log. Its JSON is the payload of a change of kind run_upload.
struct FileUpload {
  ProjectName project{};
  std::string run{};
  /// Assigned the file once it is there; empty: what refers to it is logged elsewhere (a run log's own operation).
  std::string attribute{};
  std::string file{};     ///< its path: absolute, or relative to `beneath`
  std::string beneath{};  ///< a folder that it must not lead out of: of a run log's temporary file
  std::string mime_type{};
  std::string destination{};  ///< where the store keeps it, at most 800 bytes; unique
  bool copy = false;          ///< what is asked for: to be copied before the answer
  std::string copied_as{};    ///< the copy's name in the daemon's folder for them: that is read in place of `file`
  bool temporary = false;     ///< ours to delete once it is on the server; always beneath a folder

  /// What the file was when its upload was asked for; none: that is not known, and it is taken as it is.
  struct Seen {
    std::uint64_t inode = 0, size = 0;
    std::int64_t mtime_ns = 0;
  };
  std::optional<Seen> seen{};

  /// What is read is the daemon's own to delete.
  bool goes_with_its_upload() const { return temporary || !copied_as.empty(); }

  ContainerName files() const { return {project, run, ContainerKind::files}; }
};

std::string upload_json(const FileUpload& upload);

/// Reads a payload back. Error: "unreadable_change".
Result<FileUpload> read_upload(std::string_view payload);

/// Where a file of the daemon's own choosing goes: `<run>/<attribute>/<token>/<file name>`, made of letters, digits,
/// '-' and '_', within the limits of docs/protocol.md, "Files". `token`: at most 19 characters, never used twice.
std::string upload_destination(const FileUpload& upload, std::string_view token);

/// By the file's name; "application/octet-stream" where that says nothing.
std::string_view mime_type_of(std::string_view file);

/// The update of the run that assigns the file to its attribute. The idempotency key is the destination's: it is taken
/// once, however often it is handed in, and no user can give the same one.
Change file_reference(const FileUpload& upload, std::uint64_t size, std::int64_t at_ms);

}  // namespace neptune
