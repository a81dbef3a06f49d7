#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "changes/failure.h"
#include "changes/file_upload.h"
#include "engine/engine.h"

namespace neptune::engine {

/// One file of a batch.
struct UploadItem {
  enum class State : std::uint8_t {
    waiting,  ///< not begun, or put back for no fault of its own
    later,    ///< it failed, and is tried again with the next batch; `code` and `message` say why
    done,
    refused,  ///< for good; `code` and `message`
  };
  sources::QueuedChange change;
  FileUpload upload;
  std::uint64_t size = 0;     ///< of the file
  std::uint64_t counted = 0;  ///< bytes, as its source counts them
  State state = State::waiting;
  std::string code, message;
  std::optional<std::chrono::milliseconds> retry_after;  ///< of `later`, where the store named a time
  bool on_server = false;  ///< all of it was sent, maybe in an earlier life; what follows from that may be left to do
  bool on_record = false;  ///< that it is on the server is in the ledger
  bool begun = false;      ///< there is saved progress
  bool moved = false;      ///< something of it got there when it was sent the last time
  bool behind = false;     ///< it is on the server, and assigned once the earlier ones of its attribute are dealt with
  std::optional<server::SignedFile> signed_file;
  server::FileIdentity sent;  ///< what was uploaded, once it is on the server

  bool is_final() const { return state == State::done || state == State::refused; }
  void refuse(std::string why_code, std::string why) {
    state = State::refused;
    code = std::move(why_code);
    message = std::move(why);
  }
  void put_off(std::string why_code, std::string why) {
    state = State::later;
    code = std::move(why_code);
    message = std::move(why);
  }
};

/// Files of one attribute are assigned in the order in which they were accepted, so that the one accepted last stays.
/// What is sent at once begins with the first whose end is not known, so all that may go before one are among `items`.
inline bool waits_for_earlier(std::span<const UploadItem> items, std::size_t index) {
  const auto& attribute = items[index].upload.attribute;
  const auto goes_first = [&attribute](const UploadItem& item) {
    return item.upload.attribute == attribute && !item.is_final();
  };
  return !attribute.empty() && std::ranges::any_of(items.first(index), goes_first);
}

/// The first that stands behind nobody any more.
inline std::optional<std::size_t> next_behind(std::span<const UploadItem> items) {
  for (std::size_t next = 0; next < items.size(); ++next)
    if (items[next].behind && !waits_for_earlier(items, next)) return next;
  return std::nullopt;
}

/// What one Send of a stream of files carries; shared by those who send them.
struct Engine::UploadBatch {
  explicit UploadBatch(const boost::asio::any_io_executor& executor)
      : calling_off(executor, boost::asio::steady_timer::time_point::max()) {}

  FeedPtr feed;
  std::shared_ptr<sources::Source> source;
  core::Send send;
  sources::Batch batch;
  core::ServerId server_id = 0;
  std::shared_ptr<server::Server> server;
  std::vector<UploadItem> items;
  std::size_t next = 0;                   ///< to be taken by a sender
  std::size_t told = 0;                   ///< items the core knows the end of
  Instant settled_at{};                   ///< when the last of them were put on record and told
  std::uint64_t to_settle = 0;            ///< bytes of those that ended since
  std::optional<Failure> failure;         ///< a call to the server failed: nothing more of it is begun
  bool called_off = false;                ///< what is on its way is wanted no more, whatever of it is there
  boost::asio::steady_timer calling_off;  ///< cancelled then
};

/// Puts an upload on the list of those under way, and takes it off whatever its end.
class Engine::Uploading {
 public:
  Uploading(Engine& of, ActiveUpload upload) : engine_(of), id_(++of.uploads_begun_) {
    upload.told_at = engine_.clock_.now();
    engine_.active_uploads_.emplace(id_, std::move(upload));
  }
  Uploading(const Uploading&) = delete;
  Uploading& operator=(const Uploading&) = delete;
  ~Uploading() { engine_.active_uploads_.erase(id_); }

  const ActiveUpload& upload() const { return engine_.active_uploads_.at(id_); }
  std::uint64_t done() const { return upload().done; }
  /// More of it is there than was when it was taken up.
  bool moved() const { return done() > upload().found.value_or(0); }

  /// To be told how far it is, as long as this lives.
  std::function<void(std::uint64_t)> progress() const {
    return [&engine = engine_, id = id_](std::uint64_t done) {
      auto& active = engine.active_uploads_.at(id);
      if (done > active.done) active.rate.add(static_cast<double>(done - active.done), engine.clock_.now());
      active.done = done;
      if (!active.found) active.found = done;
      engine.tell_progress(active);
    };
  }

 private:
  Engine& engine_;
  std::uint64_t id_;
};

}  // namespace neptune::engine
