#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/impl/api.h"
#include "server/impl/http.h"
#include "server/source_file.h"
#include "server/uploads.h"

namespace neptune::server {

class Transport;

/// A stretch of a file.
struct Stretch {
  std::uint64_t offset = 0, size = 0;
};

/// One call of Server::upload at work: what its steps share. Lives in the frame of the call, which waits for all of
/// them.
struct Sending {
  std::shared_ptr<Api> api{};
  std::shared_ptr<Transport> stores{};
  UploadSettings settings{};
  ProgressStore* store = nullptr;
  std::function<void(std::uint64_t)> on_progress{};
  std::shared_ptr<OpenFile> file{};      // null: what is sent is `content`
  const std::string* content = nullptr;  // in memory
  std::uint64_t size = 0;                // of either
  UploadProgress progress{};

  std::uint64_t done = 0;  // bytes of it that are there, those on their way counted
  std::uint64_t sent = 0;  // bytes of it that left in this call
  bool stopping = false;   // pieces end as soon as they can

  void report() const {
    if (on_progress) on_progress(done);
  }
};

/// None: go on; else how the upload ends.
using End = std::optional<UploadOutcome>;

UploadOutcome outcome(UploadOutcome::Kind kind, std::string code, std::string message);
inline std::unexpected<UploadOutcome> fails(UploadOutcome how) {
  return std::unexpected(std::move(how));
}
/// Of an error of the source file, of the progress store, or of the sending itself.
UploadOutcome outcome_of(const Error& error);
/// A call to the Neptune server failed.
UploadOutcome outcome_of_server(Failure failure);
/// A request to an object store brought no answer at all.
UploadOutcome outcome_of_transport(Failure failure);
/// An object store's answer other than 2xx. `in_session`: a 404 or 410 is about an upload that has begun.
UploadOutcome outcome_of_store(const Response& response, bool in_session, WallTime now);

/// The stretch as a request's body: of a file read in pieces of 64 KiB at the settings' pace, and before its last piece
/// leaves, the file is checked once more.
Body body_for(Sending& sending, Stretch stretch);

/// Sends a request whose body is that stretch. What it sent is taken back from `done` unless the answer is 2xx.
boost::asio::awaitable<Answer<Response>> send_stretch(Sending* sending, Request request, Stretch stretch);
/// Sends a request to an object store whose body is in memory.
boost::asio::awaitable<Answer<Response>> send_small(Sending* sending, Request request);

/// Whether another piece may be begun.
End may_go_on(const Sending& sending);
boost::asio::awaitable<End> check_file(Sending* sending);
boost::asio::awaitable<End> save(Sending* sending);
boost::asio::awaitable<End> clear(Sending* sending);

/// Sends the parts that `progress` does not have, some at once. `put` sends one and tells its tag.
using PutPart = boost::asio::awaitable<std::expected<std::string, UploadOutcome>> (*)(Sending*, std::uint32_t number,
                                                                                      Stretch stretch);
boost::asio::awaitable<End> send_parts(Sending* sending, PutPart put);

/// Of parts that all have the same size but the last: how many, and where one is. Numbers count from 1.
std::uint32_t part_count(std::uint64_t size, std::uint64_t part_size);
Stretch part_at(std::uint64_t size, std::uint64_t part_size, std::uint32_t number);

inline bool is_good(const Response& response) {
  return response.status >= 200 && response.status < 300;
}

// One a provider, in a file of its own. `sending->progress` is what was saved (its `session` empty: nothing was), and
// is of this file.
boost::asio::awaitable<UploadOutcome> send_to_aws(Sending* sending, Upload* upload);
boost::asio::awaitable<UploadOutcome> send_to_gcp(Sending* sending, Upload* upload);
boost::asio::awaitable<UploadOutcome> send_to_azure(Sending* sending, Upload* upload);

}  // namespace neptune::server
