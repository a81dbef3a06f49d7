#include "sources/run_log/log_uploads.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <utility>

#include "changes/file_upload.h"
#include "sources/run_log/log_files.h"
#include "support/pause.h"

namespace neptune::sources {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t most_requests = 1000;  // of one batch: they are read at once

/// A path below the folder, from there, whatever links lead to either; empty: it is elsewhere, or gone.
std::string path_below(const std::filesystem::path& folder, const std::string& file) {
  std::error_code error;
  const auto real_folder = std::filesystem::canonical(folder, error);
  if (error) return {};
  const std::filesystem::path path(file);
  const auto parent = std::filesystem::canonical(path.parent_path(), error);
  if (error || !path.is_absolute() || !path.has_filename()) return {};
  const auto inside = (parent / path.filename()).string(), prefix = real_folder.string() + "/";
  return inside.starts_with(prefix) ? inside.substr(prefix.size()) : std::string();
}

}  // namespace

FileUpload upload_of(LogDatabase::FileRequest request, const ContainerName& run, const LogDatabase& database) {
  const auto& directory = database.paths().directory;
  FileUpload upload{.project = run.project, .run = run.id};
  upload.file = std::move(request.source_path);
  upload.mime_type = std::move(request.mime_type);
  upload.destination = std::move(request.destination);
  FileUpload::Seen seen;
  seen.size = request.size;
  upload.seen = seen;
  if (!request.is_temporary) return upload;
  auto inside = path_below(directory, upload.file);
  if (inside.empty()) inside = moved_along(directory, upload.file);
  if (!inside.empty()) {
    upload.beneath = directory.string();
    upload.file = std::move(inside);
    upload.temporary = !database.is_read_only();
  }
  return upload;
}

LogUploads::LogUploads(WorkerPool& pool, std::shared_ptr<LogDatabase> database, ContainerName run)
    : pool_(pool), database_(std::move(database)), run_(std::move(run)) {
  run_.kind = ContainerKind::files;
}

asio::awaitable<Result<Backlog>> LogUploads::backlog(Position after) {
  auto work = [database = database_, after] { return database->sum_files(after); };
  auto sum = co_await pool_.run(std::move(work));
  if (!sum) co_return std::unexpected(std::move(sum.error()));
  Backlog backlog;
  backlog.count = sum->count;
  backlog.bytes = sum->bytes;
  backlog.last = sum->last;
  if (sum->count > 0) backlog.next = OperationKind::upload;
  co_return backlog;
}

asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> LogUploads::next_batch(Position after,
                                                                                               BatchLimits limits) {
  using Plan = std::variant<std::monostate, Batch, Oversized>;
  const auto most = std::min(limits.operations, most_requests);
  auto work = [database = database_, after, most] {
    return database->file_requests(after, std::numeric_limits<Position>::max(), most);
  };
  auto requests = co_await pool_.run(std::move(work));
  if (!requests) co_return std::unexpected(std::move(requests.error()));
  if (requests->empty()) co_return Plan{};
  Batch batch{OperationKind::upload, requests->front().id, requests->back().id, requests->size(), 0};
  for (const auto& request : *requests) batch.payload_bytes += request.size;
  co_return Plan{batch};
}

std::unique_ptr<ByteStream> LogUploads::open(const Batch&) {
  return std::make_unique<NoBytes>();
}

asio::awaitable<Result<std::vector<QueuedChange>>> LogUploads::changes(Position first, Position last) {
  auto work = [database = database_, first, last, run = run_]() -> Result<std::vector<QueuedChange>> {
    auto requests = database->file_requests(first - 1, last, most_requests);
    if (!requests) return std::unexpected(std::move(requests.error()));
    const auto owner = database->owner();
    if (!owner) return std::unexpected(owner.error());
    std::vector<QueuedChange> changes;
    for (auto& request : *requests) {
      auto& change = changes.emplace_back();
      change.position = request.id;
      change.container = run;
      change.kind = ChangeKind::run_upload;
      change.uid = *owner;
      change.payload = upload_json(upload_of(std::move(request), run, *database));
    }
    if (changes.empty())
      return fail("run_log_changed", fmt::format("the requests {} to {} for files are no longer in the run log in {}; "
                                                 "somebody else took them out",
                                                 first, last, database->paths().directory.string()));
    return changes;
  };
  co_return co_await pool_.run(std::move(work));
}

asio::awaitable<Result<bool>> LogUploads::settle(Position upto) {
  if (database_->is_read_only()) co_return false;
  for (int tries = 1;;) {
    auto work = [database = database_, upto] { return database->settle_files(upto); };
    auto settled = co_await pool_.run(std::move(work));
    if (!settled) {
      const auto& code = settled.error().code;
      if (code == "sqlite_full" || code == "sqlite_readonly") co_return false;
      if (code != "sqlite_busy" || tries++ == LogDatabase::busy_tries)
        co_return std::unexpected(std::move(settled.error()));
      co_await pause(LogDatabase::busy_pause);
      continue;
    }
    if (!settled->done) continue;
    // The producer removes an emptied log when it closes: it must not find us in it.
    if (settled->empty) co_await release();
    co_return true;
  }
}

asio::awaitable<void> LogUploads::release() {
  auto work = [database = database_] { database->close(); };
  co_await pool_.run(std::move(work));
}

}  // namespace neptune::sources
