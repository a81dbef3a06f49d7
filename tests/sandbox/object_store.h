#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "changes/names.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/spool.h"

/// The object stores behind the signed URLs: what was signed, uploads that are not complete, and the bytes of what 1.x
/// uploaded last. Nothing of this survives a restart: URLs and sessions are then unknown.
namespace neptune::sandbox {

enum class StoreKind : std::uint8_t { aws, gcp, azure };
std::string_view name(StoreKind kind);
std::optional<StoreKind> store_kind_named(std::string_view name);

/// What one signed URL is for.
struct SignedUrl {
  ProjectName project;
  std::string path;
  StoreKind kind = StoreKind::aws;
  std::chrono::steady_clock::time_point expires;
  std::uint64_t generation = 0;
  std::string upload;        ///< aws: the multipart upload the URL is of; else empty
  std::uint32_t number = 0;  ///< of the part, from 1
};

struct StoredPart {
  std::shared_ptr<Blob> blob;
  std::string etag;
};

/// An aws multipart upload, or a 1.x upload in parts.
struct PartsUpload {
  ProjectName project;
  std::string path, content_type;
  std::uint64_t size = 0, part_size = 0;  ///< as it was announced
  std::map<std::uint32_t, StoredPart> parts;
  std::map<std::uint64_t, std::uint32_t> by_offset;  ///< 1.x: offset → part
  std::string completed;                             ///< aws: the parts it was completed with
};

struct GcpSession {
  ProjectName project;
  std::string path, content_type;
  std::shared_ptr<Blob> blob;
  bool complete = false;
  std::uint64_t size = 0;  ///< once complete
};

class ObjectStore {
 public:
  // Set by the control call; README.md, "Files".
  std::map<std::string, StoreKind> kinds;  ///< by workspace; aws where it says nothing
  std::uint64_t multipart_threshold = std::uint64_t{16} << 20;
  std::uint64_t multipart_part_size = std::uint64_t{8} << 20;
  bool reuse_multipart = false;
  std::chrono::milliseconds url_lifetime = std::chrono::hours(1);
  std::uint64_t keep_less = 0;      ///< gcp chunks of which half is kept
  std::uint64_t missing_etags = 0;  ///< aws answers without one
  std::uint64_t most_kept_bytes = std::uint64_t{256} << 20;
  void expire_urls() { ++generation_; }
  void lose_sessions();
  void end_faults();

  // What it saw.
  std::uint64_t signing_requests = 0, signed_files = 0, stored_files = 0, received_bytes = 0, tokens_seen = 0;

  std::map<std::string, PartsUpload> uploads;  ///< by upload id
  std::map<std::string, GcpSession> sessions;  ///< by id
  /// Azure: blocks that are not committed, by "workspace/project/path" and id.
  std::map<std::string, std::map<std::string, std::shared_ptr<Blob>>> blocks;
  /// Azure: the list a blob was committed with, which may come again.
  std::map<std::string, std::string> committed;

  /// Room for what a request brings.
  std::shared_ptr<Blob> make_blob();
  /// The id that stands in the URL.
  std::string sign(SignedUrl url);
  /// Null: unknown or expired.
  const SignedUrl* find(const std::string& id) const;
  /// Whom a request to the store is about, for faults; none: nobody knows.
  const ProjectName* project_of(const Request& request) const;
  std::string new_id();
  /// An unfinished upload of the same path and size, where `reuse_multipart` says so; else empty.
  std::string unfinished(const ProjectName& project, const std::string& path, std::uint64_t size) const;
  /// Keeps the bytes of a file of 1.x, which can be read back, until those of later ones are too many beside them.
  std::weak_ptr<const Content> keep(Content content);

  /// Sets of files that are to be downloaded: id → container id, attribute.
  std::map<std::string, std::pair<std::string, std::string>> downloads;

 private:
  std::deque<std::shared_ptr<const Content>> kept_;
  std::uint64_t kept_bytes_ = 0;
  std::shared_ptr<Spool> spool_;
  std::map<std::string, SignedUrl> urls_;
  std::uint64_t generation_ = 1, ids_ = 0;
  std::string salt_;
};

}  // namespace neptune::sandbox
