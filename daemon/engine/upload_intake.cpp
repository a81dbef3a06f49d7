// Files that are handed in over the socket: who may have them read, and copies.
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <random>
#include <set>

#include "changes/file_upload.h"
#include "engine/engine.h"
#include "engine/impl/outcome.h"
#include "engine/impl/with_ledger.h"
#include "support/descriptor.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

std::string new_token() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

/// What was made in it is there after a power cut, too.
void keep_names_of(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened) ::fsync(opened.get());
}

Result<server::FileIdentity> copy_to(const server::SourceFile& from, const std::filesystem::path& folder,
                                     const std::string& name, std::uint64_t keep_free) {
  if (::mkdir(folder.c_str(), 0700) == 0)
    keep_names_of(folder.parent_path());
  else if (errno != EEXIST)
    return fail("file_not_copied", fmt::format("the folder {} for copies cannot be made", folder.string()));
  return server::copy_file(from, folder / name, keep_free);
}

}  // namespace

std::filesystem::path Engine::copies_dir() const {
  return state_dir_.path() / copies_folder;
}

/// What is read for an upload, and on whose behalf: a copy was made for whoever asked, and is the daemon's own. Where
/// it lies is asked of the state directory, which may have been moved since.
server::SourceFile Engine::source_file(const FileUpload& upload, std::uint32_t asked_by) const {
  if (!upload.copied_as.empty()) return {upload.copied_as, copies_dir().string(), ::geteuid()};
  return {upload.file, upload.beneath, asked_by};
}

/// Opens the file on behalf of whoever hands it in: what they may not read, the daemon does not read for them. What it
/// is now is what is uploaded, or nothing. The upload whose copy it made, if it made one.
asio::awaitable<Result<std::optional<FileUpload>>> Engine::admit(Change& change, Submitter by) {
  // One that comes again because its answer was lost has its copy, and its file may be gone.
  const auto known = co_await outcome(queue_->knows(by.uid, change.idempotency_key));
  if (!known) co_return std::unexpected(known.error());
  if (*known) co_return std::nullopt;
  auto upload = read_upload(change.payload);
  if (!upload) co_return std::unexpected(std::move(upload.error()));
  const server::SourceFile source{upload->file, {}, by.uid};
  const auto token = new_token();
  upload->destination = upload_destination(*upload, token);
  Result<server::FileIdentity> seen;
  if (upload->copy) {
    upload->copied_as = token + "-" + upload->destination.substr(upload->destination.rfind('/') + 1);
    auto copy = [source, name = upload->copied_as, folder = copies_dir(), keep = options_.uploads.keep_free] {
      return copy_to(source, folder, name, keep);
    };
    seen = co_await outcome(copy_thread_.run(std::move(copy)));
  } else {
    auto look = [source] { return server::identify(source); };
    seen = co_await outcome(file_threads_.run(std::move(look)));
  }
  if (!seen) co_return std::unexpected(std::move(seen.error()));
  upload->seen = FileUpload::Seen{seen->inode, seen->size, seen->mtime_ns};
  change.payload = upload_json(*upload);
  if (!upload->copy) co_return std::nullopt;
  co_return std::move(*upload);
}

namespace {

/// Blocks. None where there are none.
std::set<std::string> files_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    names.insert(entry->path().filename().string());
  return names;
}

}  // namespace

/// Copies that no change names, of requests that were not taken before the daemon was killed. Before anything is handed
/// in.
asio::awaitable<void> Engine::remove_unneeded_copies() {
  auto list = [folder = copies_dir()] { return std::make_shared<std::set<std::string>>(files_in(folder)); };
  const auto unneeded = co_await file_threads_.run(std::move(list));
  if (unneeded->empty() || !queue_) co_return;
  const std::function<void(std::string_view)> keep = [unneeded](std::string_view payload) {
    if (const auto upload = read_upload(payload)) {
      unneeded->erase(upload->copied_as);
    } else {
      unneeded->clear();  // it may be of any of them
    }
  };
  auto queued = co_await outcome(queue_->each_payload(ContainerKind::files, keep));
  auto of_rejected = [keep](Ledger& ledger) { return ledger.each_payload(ContainerKind::files, keep); };
  if (queued) queued = co_await with_ledger(std::move(of_rejected));
  if (!queued) {
    spdlog::warn("copies stay error={:?}; they are looked through again at the next start", queued.error().message);
    co_return;
  }
  for (const auto& name : *unneeded) {
    spdlog::info("removing a copy that nothing needs file={:?}", name);
    FileUpload copy;
    copy.copied_as = name;
    auto file = source_file(copy, ::geteuid());
    co_await delete_own_file(std::move(file), std::nullopt);
  }
}

asio::awaitable<Result<std::vector<api::Stream>>> Engine::streams_of_file(StreamFilter filter, std::string file) {
  using Runs = std::set<std::pair<std::string, std::string>>;
  const auto runs = std::make_shared<Runs>();
  const std::function<void(std::string_view)> note = [runs, file](std::string_view payload) {
    if (const auto upload = read_upload(payload); upload && upload->file == file)
      runs->emplace(upload->project.full(), upload->run);
  };
  if (queue_)
    if (const auto looked = co_await outcome(queue_->each_payload(ContainerKind::files, note)); !looked)
      co_return std::unexpected(looked.error());
  auto list = streams(filter);
  std::erase_if(list, [&runs = *runs](const api::Stream& stream) {
    return stream.container_type != name(ContainerKind::files) || !runs.contains({stream.project, stream.container});
  });
  co_return list;
}

/// A copy, or a temporary file of a run log. Where it cannot be done the file stays, and the log says why.
asio::awaitable<void> Engine::delete_own_file(server::SourceFile file, std::optional<server::FileIdentity> was) {
  auto remove = [file = std::move(file), was] { return server::remove_file(file, was); };
  const auto removed = co_await outcome(file_threads_.run(std::move(remove)));
  if (!removed && removed.error().code != "file_missing")
    spdlog::warn("a file that was uploaded stays error={:?}", removed.error().message);
}

}  // namespace neptune::engine
