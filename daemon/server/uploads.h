#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "changes/failure.h"
#include "changes/names.h"
#include "server/addressed.h"
#include "support/error.h"

namespace neptune {
class Bandwidth;
class WorkerPool;
}  // namespace neptune

/// Files on their way to the server: what Server::sign_uploads, Server::upload and Server::upload_attribute take and
/// tell. Wire details: docs/protocol.md, "Files" and "Containers and attribute operations".
///
/// A file of a 3.x run goes in two steps: the server signs a URL, a batch of files at once, and the object store takes
/// the bytes there. An attribute's file of a 1.x run goes to the server itself. Either way one call sends one file, and
/// what it needs to go on after a restart is kept in a ProgressStore before it is needed.
///
/// Memory: some 64 KiB for each part that is being sent, whatever the file's size.
/// The API token and its access tokens never go to an object store, and redirects are not followed.
namespace neptune::server {

namespace upload_limits {
inline constexpr std::size_t sign_batch = 100;           ///< files of one signing request: our own bound
inline constexpr std::size_t destination_bytes = 800;    ///< "Files"
inline constexpr std::size_t mime_type_bytes = 128;      ///< "Files"
inline constexpr std::uint64_t chunk_step = 256u << 10;  ///< a gcp chunk is a multiple of it: "Files"
inline constexpr std::uint64_t single_1x = 5u << 20;     ///< of a file in one request, 1.x: "Containers and ..."
inline constexpr std::size_t parts_1x = 1000;            ///< of one file, 1.x: "Containers and ..."
inline constexpr std::size_t azure_blocks = 50'000;      ///< of one blob: the store's
}  // namespace upload_limits

enum class Provider : std::uint8_t { aws, gcp, azure, neptune_1x };
/// "aws", "gcp", "azure", "neptune-1x": for what is stored, and for people.
std::string_view name(Provider provider);
std::optional<Provider> provider_named(std::string_view name);

struct FileToSign {
  ProjectName project;
  std::string path;  ///< the destination, at most upload_limits::destination_bytes
  std::uint64_t size = 0;
};

/// A signed URL lets whoever knows it write to the store: never logged, never shown.
struct SignedFile {
  ProjectName project;
  std::string path;
  Provider provider = Provider::aws;
  std::string url;
  struct Multipart {  ///< aws, where the server chose so
    std::string upload_id;
    std::uint64_t part_size = 0;
    std::vector<std::string> part_urls;  ///< part 1 first
  };
  std::optional<Multipart> multipart{};
};

/// Where a file lies. Only regular files are read; nobody's symbolic link is followed at the last step, and none at all
/// below `beneath`.
struct SourceFile {
  std::string path;       ///< absolute; or, where `beneath` is given, relative to it and without ".."
  std::string beneath{};  ///< a folder the file must be in: for names that somebody else wrote
  /// On whose behalf it is read: it must be theirs, or readable by everybody, whatever the daemon itself may read.
  /// None, root and the daemon's own user: no such rule.
  std::optional<std::uint32_t> reader{};
};

/// By what a changed file is told from the same one. Not by its device: the numbers of NFS, LVM and the like may be
/// others after a mount or a reboot, and no file that waits must be taken for changed then.
struct FileIdentity {
  std::uint64_t inode = 0, size = 0;
  std::int64_t mtime_ns = 0;  ///< of its bytes; tools that copy set it back
  /// Cannot be set back, but is another one after a chmod, a rename or a new link, too. So a file is not taken for
  /// changed by it; but what was sent of it before goes with the rest only where this is the same (`is_untouched`).
  std::int64_t ctime_ns = 0;

  bool operator==(const FileIdentity& other) const {
    return inode == other.inode && size == other.size && mtime_ns == other.mtime_ns;
  }
  bool is_untouched(const FileIdentity& since) const { return *this == since && ctime_ns == since.ctime_ns; }
};

/// Blocking; for the worker pool. Errors: "file_missing", "file_not_readable", "file_not_theirs" (its `reader`'s),
/// "file_not_regular", "file_path_invalid", "file_unreadable" (what stays until somebody mends it: a bad disk), and
/// "file_unreadable_now" (retryable: descriptors, memory, a network file system that is away).
Result<FileIdentity> identify(const SourceFile& file);

/// Removes a file that was sent. Only one that is still what it was, where that is told, and that its `reader` could
/// have removed: file and folder are theirs, and below `beneath` no link leads there. Blocking. Errors: those of
/// `identify`, "file_changed", and "file_not_removed".
Result<void> remove_file(const SourceFile& file, const std::optional<FileIdentity>& was);

/// Copies the file to `to`, which must not exist; durable when it returns, mode 0600; what the copy is. Blocking, for
/// as long as that takes. At least `keep_free` bytes of the disk stay free, else "low_disk"; "disk_full"; and the
/// errors of `identify`, and "file_changed". After an error there is no copy.
Result<FileIdentity> copy_file(const SourceFile& file, const std::filesystem::path& to, std::uint64_t keep_free);

/// A part that the other side confirmed.
struct FinishedPart {
  std::uint32_t number = 0;  ///< from 1
  std::string tag;           ///< aws: its ETag, without quotes; azure: its block's id; else empty
};

/// An upload that has begun. Enough to go on with after a restart, also without signing anew. `session`, `url` and
/// `part_urls` are as good as a password: in a file of mode 0600 only.
struct UploadProgress {
  Provider provider = Provider::aws;
  FileIdentity file;    ///< what is being sent; of another file's progress nothing is used
  std::string session;  ///< aws, 1.x: upload id · gcp: session URI · azure: what its block ids begin with
  std::uint64_t part_size = 0;
  std::string url{};                     ///< azure: of the blob
  std::vector<std::string> part_urls{};  ///< aws
  std::vector<FinishedPart> finished{};  ///< gcp: empty, the session knows; in no order
};

/// Where the progress of one file is kept. The calls must be durable when they return, and are made one after the
/// other. An error ends the upload as `later`. Lives as long as the call of `upload`.
class ProgressStore {
 public:
  virtual ~ProgressStore() = default;
  /// What was saved last, with all parts added since; none: nothing.
  virtual boost::asio::awaitable<Result<std::optional<UploadProgress>>> load() = 0;
  /// Takes the place of everything kept so far.
  virtual boost::asio::awaitable<Result<void>> save(UploadProgress progress) = 0;
  /// One more part; also one that is there already.
  virtual boost::asio::awaitable<Result<void>> add(FinishedPart part) = 0;
  /// The session is gone, or done with.
  virtual boost::asio::awaitable<Result<void>> clear() = 0;
  /// Asked after each piece that is there. An error: no other one is begun, and the upload goes on later.
  virtual Result<void> may_go_on() { return {}; }
};

/// How files are sent; the same for many.
struct UploadSettings {
  WorkerPool* files = nullptr;             ///< files are read there; must outlive the calls
  std::shared_ptr<Bandwidth> bandwidth{};  ///< null: no limit
  /// Of one file this much is on its way at once: a gcp chunk, azure blocks of a part of it each, aws parts of the
  /// server's size. Rounded to chunk_step.
  std::uint64_t chunk_size = 16u << 20;
  std::size_t parallel_parts = 3;  ///< of one file at most: aws parts, azure blocks
};

/// One file to an object store.
struct Upload {
  SourceFile file;
  std::optional<FileIdentity> expected{};  ///< what it was when the upload was asked for; none: as it is now
  ProjectName project;
  std::string path;          ///< the destination that was signed
  std::string content_type;  ///< at most upload_limits::mime_type_bytes; empty: application/octet-stream
  /// None: only what was begun is gone on with, by its saved URLs; where these do not do, the outcome is `expired`
  /// without a word to anybody.
  std::optional<SignedFile> signed_file{};
  ProgressStore* progress = nullptr;
  /// Bytes of the file that have been sent, of its size; goes back where parts have to be sent again. On the loop,
  /// after each piece. Must not throw.
  std::function<void(std::uint64_t)> on_progress{};
};

/// One attribute's file, or set of files, of a 1.x container: to the server itself.
struct AttributeUpload {
  Addressed container;
  std::string attribute;
  enum class What : std::uint8_t { file, content, file_set } what = What::file;
  std::string ext{};                       ///< file, content: without a dot
  SourceFile file{};                       ///< file
  std::optional<FileIdentity> expected{};  ///< file
  std::string content{};                   ///< content: the bytes themselves
  struct Member {
    SourceFile file;
    std::string name;  ///< in the set: "weights/a.bin"
  };
  std::vector<Member> members{};      ///< file_set: what its globs stand for, in a fixed order
  bool reset = false;                 ///< file_set: it takes the place of what is there
  std::function<bool()> may_begin{};  ///< of each request of it (server::MayBegin)
  ProgressStore* progress = nullptr;
  std::function<void(std::uint64_t)> on_progress{};
};

/// How an upload ended.
struct UploadOutcome {
  enum class Kind : std::uint8_t {
    done,        ///< all of it is confirmed. Of a file in an object store the progress is kept, and for the caller to
                 ///< forget in one step with its own record of the end: until then another call finds it all there
    expired,     ///< the URLs are no longer good, or none were given: sign again. Progress is kept. A store that says
                 ///< so of URLs that were signed a moment ago refuses: give up after some of these in a row
    start_over,  ///< the session is gone and its progress cleared: sign again and send from the beginning
    later,       ///< no fault of the file: try again, after `retry_after` where it is given. Progress is kept
    stalled,     ///< the store answers, but does not take it: a 400, an ETag that is missing, an answer that makes no
                 ///< sense. As `later`, but give up after some in a row that got no further
    refused,     ///< for good, with the reason
    source,      ///< the file vanished, changed, or is none that can be read: for good, with the reason
    server,      ///< a call to the Neptune server failed, as `failure` says: read-only mode and all else as with any
                 ///< other call. Progress is kept. An object store's answer never comes out as this
  };
  Kind kind = Kind::done;
  std::string code{};     ///< snake_case: "file_changed", "http_503", "etag_missing", "session_gone"
  std::string message{};  ///< what happened, for people, without URLs and without what comes of it; empty when done
  std::optional<std::chrono::milliseconds> retry_after{};
  std::optional<Failure> failure{};    ///< of `server`
  std::uint64_t sent = 0;              ///< bytes of the file that left in this call, those that came to nothing too
  std::optional<FileIdentity> file{};  ///< what was sent, once it was opened
};

}  // namespace neptune::server
