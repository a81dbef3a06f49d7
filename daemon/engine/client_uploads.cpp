// Files of attributes that a 1.x client logged. Each is a call of its own, as what was logged after it goes after it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "engine/engine.h"
#include "engine/impl/failures.h"
#include "engine/impl/ledger_progress.h"
#include "engine/impl/upload_batch.h"
#include "engine/impl/upload_outcome.h"
#include "sources/client_dir/directory_name.h"
#include "support/base64.h"
#include "support/file_set.h"

namespace neptune::engine {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Kind = server::UploadOutcome::Kind;

namespace {

constexpr unsigned most_beginnings = 5;      // of uploads that the server forgets each time: our own bound
constexpr std::size_t most_names = 200'000;  // looked at to find the files of one set: our own bound
constexpr auto turn = 2s;                    // then a large file lets others go first
constexpr const char* upload_folder = "upload_path";

struct ToBeSent {
  server::AttributeUpload upload;
  std::uint64_t bytes = 0;
};

Result<ToBeSent> file_to_be_sent(const sources::QueuedChange& change, const ClientUpload& wanted, ToBeSent to_send) {
  auto& file = to_send.upload.file;
  if (wanted.tmp_file_name.empty()) {
    file = {wanted.file_path, {}, change.uid};
  } else {
    file = {fmt::format("{}/{}", upload_folder, wanted.tmp_file_name), change.directory, change.uid};
  }
  const auto identity = server::identify(file);
  if (!identity) return std::unexpected(identity.error());
  to_send.bytes = identity->size;
  return to_send;
}

Result<ToBeSent> set_to_be_sent(const sources::QueuedChange& change, const ClientUpload& wanted, ToBeSent to_send) {
  auto& upload = to_send.upload;
  upload.what = server::AttributeUpload::What::file_set;
  upload.reset = wanted.reset;
  auto found = find_files(wanted.globs, most_names, change.uid);
  if (!found) return std::unexpected(std::move(found.error()));
  for (auto& member : found->members) {
    server::AttributeUpload::Member file{{member.path.string(), {}, change.uid}, std::move(member.name)};
    const auto identity = server::identify(file.file);
    // It went since it was listed.
    if (!identity && identity.error().code == "file_missing") continue;
    if (!identity) return std::unexpected(identity.error());
    to_send.bytes += identity->size;
    upload.members.push_back(std::move(file));
  }
  if (upload.members.empty() && !wanted.globs.empty())
    return fail("file_missing", fmt::format("there is no file (any more) that is called {}; put it back and try again",
                                            wanted.globs.front().substr(0, 300)));
  return to_send;
}

std::unexpected<Error> not_theirs() {
  return fail("file_not_theirs", "it is not known who logged it, so no file is read for it; upload it again");
}

/// Looked up on disk. Blocks.
Result<ToBeSent> to_be_sent(const sources::QueuedChange& change, const ClientUpload& wanted) {
  ToBeSent to_send;
  auto& upload = to_send.upload;
  upload.attribute = wanted.path;
  upload.ext = wanted.ext;
  switch (wanted.what) {
    case ClientUpload::What::content: {
      auto content = decode_base64(wanted.content, Base64::standard);
      if (!content) return fail("client_operation_invalid", "the content of the file is no base64");
      upload.what = server::AttributeUpload::What::content;
      upload.content = std::move(*content);
      to_send.bytes = upload.content.size();
      return to_send;
    }
    case ClientUpload::What::file:
      if (!change.uid) return not_theirs();
      return file_to_be_sent(change, wanted, std::move(to_send));
    case ClientUpload::What::file_set:
      break;
  }
  if (!change.uid) return not_theirs();
  return set_to_be_sent(change, wanted, std::move(to_send));
}

std::string shown_name(const ClientUpload& wanted) {
  if (!wanted.file_path.empty()) return wanted.file_path;
  if (!wanted.tmp_file_name.empty()) return wanted.tmp_file_name;
  return wanted.globs.empty() ? wanted.path : wanted.globs.front();
}

/// Its container was found, or this has another code: it is the call that is not there.
bool is_not_offered(const Failure& failure) {
  const bool may_be = failure.status == 404 || failure.status == 405 || failure.status == 410 || failure.status == 501;
  return may_be && failure.code.starts_with("http_");
}

void conclude(CallOutcome& done, server::UploadOutcome how) {
  switch (how.kind) {
    case Kind::done:
      return;
    case Kind::later:
    case Kind::stalled:
      if (how.code == "upload_halted") {
        done.put_back = true;
      } else {
        auto failure = source_failure(std::move(how.code), std::move(how.message));
        failure.retry_after = how.retry_after;
        done.answer = std::unexpected(std::move(failure));
      }
      return;
    case Kind::server:
      if (!how.failure) break;
      if (is_not_offered(*how.failure)) {
        done.refused.push_back(
            {done.last, "not_offered",
             fmt::format("the server does not take files of attributes ({})", how.failure->message)});
      } else {
        done.answer = std::unexpected(waiting_for_container(std::move(*how.failure)));
      }
      return;
    case Kind::expired:
    case Kind::start_over:
    case Kind::refused:
    case Kind::source:
      break;
  }
  done.refused.push_back({done.last, std::move(how.code), std::move(how.message)});
}

}  // namespace

/// Unless the gate closed, the daemon stops, or others have waited for long enough.
bool Engine::may_go_on(const Feed& feed, core::StreamId stream, Instant until) const {
  return !draining_ && feed.stream == stream && feed.source && core_.is_open(feed.info.container->project) &&
         clock_.now() < until;
}

asio::awaitable<CallOutcome> Engine::upload_for_client(FeedPtr feed, core::StreamId stream,
                                                       std::shared_ptr<server::Server> server,
                                                       sources::QueuedChange change, ClientUpload wanted) {
  CallOutcome done{.count = 1, .last = change.position, .answer = {}, .refused = {}};
  auto look = [&change, &wanted] { return to_be_sent(change, wanted); };
  auto to_send = co_await file_threads_.run(std::move(look));
  if (!to_send) {
    if (to_send.error().retryable)
      done.answer = std::unexpected(source_failure(std::move(to_send.error())));
    else
      done.refused.push_back({change.position, to_send.error().code, to_send.error().message});
    co_return done;
  }
  auto& upload = to_send->upload;
  upload.container = {*feed->info.container, sources::server_id_in(change.directory)};
  const Uploading listed(*this, {.container = *feed->info.container,
                                 .feed = feed.get(),
                                 .position = change.position,
                                 .attribute = wanted.path,
                                 .file = shown_name(wanted),
                                 .total = to_send->bytes});
  upload.on_progress = listed.progress();
  server::UploadOutcome how;
  for (unsigned begun = 0; begun < most_beginnings; ++begun) {
    how = co_await send_for_client(feed, stream, change.position, server, upload);
    if (how.kind != Kind::start_over) break;
  }
  spdlog::debug("file container={:?} position={} sent={} kind={} code={}", feed->info.container->label(),
                change.position, how.sent, static_cast<int>(how.kind), how.code);
  if (how.kind == Kind::done)
    tell_uploaded(fmt::format("{} of {} is on the server", wanted.path, feed->info.container->label()),
                  listed.upload());
  conclude(done, std::move(how));
  co_return done;
}

asio::awaitable<server::UploadOutcome> Engine::send_for_client(FeedPtr feed, core::StreamId stream,
                                                               sources::Position position,
                                                               std::shared_ptr<server::Server> server,
                                                               server::AttributeUpload upload) {
  LedgerProgress progress(*this, upload_of(*feed, position), true, [this, feed, stream, until = clock_.now() + turn] {
    // A part that was taken says as much as a write that was: the scope can be written.
    core_.taken(stream, clock_.now());
    pump();
    return may_go_on(*feed, stream, until);
  });
  upload.progress = &progress;
  upload.may_begin = may_begin(stream);
  co_return co_await upload_outcome(server->upload_attribute(std::move(upload), upload_settings()));
}

}  // namespace neptune::engine
