#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
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
  bool on_server = false;  ///< all of it was sent in an earlier life; what follows from that may be left to do
  bool begun = false;      ///< there is saved progress
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

/// What one Send of a stream of files carries; shared by those who send them.
struct Engine::UploadBatch {
  FeedPtr feed;
  std::shared_ptr<sources::Source> source;
  core::Send send;
  sources::Batch batch;
  core::ServerId server_id = 0;
  std::shared_ptr<server::Server> server;
  std::vector<UploadItem> items;
  std::size_t next = 0;            ///< to be taken by a sender
  std::size_t told = 0;            ///< items the core knows the end of
  std::optional<Failure> failure;  ///< a call to the server failed: nothing more of it is begun
};

/// Takes an upload off the list whatever its end.
struct Engine::Uploading {
  Uploading(Engine& of, std::uint64_t number) : engine(of), id(number) {}
  Uploading(const Uploading&) = delete;
  Uploading& operator=(const Uploading&) = delete;
  ~Uploading() { engine.active_uploads_.erase(id); }
  Engine& engine;
  std::uint64_t id;
};

}  // namespace neptune::engine
