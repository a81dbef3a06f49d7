// Files: a batch is looked at, signed at once, and sent file by file; then the core is told what became of each.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "engine/engine.h"
#include "engine/impl/failures.h"
#include "engine/impl/ledger_progress.h"
#include "engine/impl/outcome.h"
#include "engine/impl/search_lag.h"
#include "engine/impl/upload_batch.h"
#include "engine/impl/upload_outcome.h"
#include "engine/impl/with_ledger.h"
#include "support/pause.h"

namespace neptune::engine {

namespace asio = boost::asio;
using Kind = server::UploadOutcome::Kind;
using State = UploadItem::State;
using namespace std::chrono_literals;

namespace {

// Our own bounds on what the store may answer of one file, in a row and without its getting further.
constexpr std::uint32_t most_signings = 3;    // of URLs that are refused at once
constexpr std::uint32_t most_beginnings = 5;  // of sessions that are gone each time
constexpr std::uint32_t most_stalls = 8;      // of a store that answers, and does not take it
// Of files that ended while the rest of their batch is on its way, some are put on record and told together. A kill may
// cost what is not on record yet.
constexpr std::chrono::milliseconds settled_every{250};
constexpr std::uint64_t settled_bytes = 8u << 20;
constexpr std::chrono::seconds progress_told_every{5};
// A larger file is signed when its turn comes: of each there may be thousands of URLs, all of them in memory.
constexpr std::uint64_t signed_ahead_bytes = 64u << 20;
// Reading a file that is on a slow disk is waited for.
constexpr int looks_while_called_off = 100;
constexpr std::chrono::milliseconds between_looks{20};

bool speaks_of_the_file(const Failure& failure) {
  return failure.kind == Failure::Kind::rejected || failure.kind == Failure::Kind::too_large;
}

std::string file_name(const FileUpload& upload) {
  return upload.beneath.empty() ? upload.file : upload.beneath + "/" + upload.file;
}

/// A reason that a person can act on, of what was tried in vain.
std::string given_up(const server::UploadOutcome& how, std::string_view advice) {
  return fmt::format(
      "{}. It was tried so often, and got no further each time, that it is given up. {}, then try it again "
      "with 'neptune-sync rejected retry'",
      how.message, advice);
}

/// `moved`: something of it got there with the URLs that were no longer good then.
std::string_view advice_on(const server::UploadOutcome& how, bool moved) {
  switch (how.kind) {
    case Kind::expired:
      if (moved)
        return "It was under way when its URLs expired, and the server let it begin anew each time: send it over a "
               "faster line (or with a higher max_bandwidth), or ask whoever runs the server for URLs that hold longer";
      return "The URL had just been signed: compare this machine's clock with the server's, and see whether the "
             "server's "
             "storage takes writes";
    case Kind::start_over:
      return "See whether the server's storage keeps uploads that are under way";
    case Kind::later:
      return "Other files of the run get through: see what is different about this one";
    case Kind::server:
      return "Other files of the run get through: ask whoever runs the server what it has against this one";
    default:
      return how.code == "etag_missing" ? "See whether a proxy on the way to the object store takes the ETag out"
                                        : "Ask whoever runs the server what its object store has against it";
  }
}

server::UploadOutcome not_signed(Failure failure) {
  server::UploadOutcome how;
  how.kind = Kind::server;
  how.code = std::move(failure.code);
  how.message = std::move(failure.message);
  how.retry_after = failure.retry_after;
  return how;
}

struct Looked {
  Result<server::FileIdentity> identity;
};

}  // namespace

Ledger::UploadOf Engine::upload_of(const Feed& feed, sources::Position position) const {
  if (feed.replayed) return {{0, feed.replayed->at(static_cast<std::size_t>(position - 1))}, 0};
  return {{feed.ledger_id, 0}, position};
}

server::UploadSettings Engine::upload_settings() {
  server::UploadSettings settings;
  settings.files = &file_threads_;
  settings.bandwidth = bandwidth_;
  settings.chunk_size = options_.uploads.chunk_size;
  return settings;
}

/// Nothing more of it is to be begun.
bool Engine::is_halted(const UploadBatch& work) const {
  return draining_ || work.failure || work.called_off || work.feed->stream != work.send.stream || !work.feed->source ||
         !core_.is_open(work.feed->info.container->project);
}

asio::awaitable<void> Engine::send_files(FeedPtr feed, std::shared_ptr<sources::Source> source, core::Send send,
                                         sources::Batch batch) {
  auto work = std::make_shared<UploadBatch>(executor_);
  work->feed = std::move(feed);
  work->source = std::move(source);
  work->send = send;
  work->batch = batch;
  work->server_id = server_of(work->feed->info.container->project.workspace);
  auto& uploading = work->feed->uploading;
  if (!uploading) uploading = std::make_unique<Feed::OfFiles>();
  const auto before = [first = batch.first](const auto& position) { return position < first; };
  std::erase_if(uploading->told, before);
  std::erase_if(uploading->tries, [&before](const auto& each) { return before(each.first); });
  const core::Sent all{batch.last, batch.count, batch.payload_bytes, false};
  core_.begun(send.stream, all, clock_.now());
  work->settled_at = clock_.now();
  uploading->under_way = work;
  co_await send_unless_called_off(work);
  co_await record_files(work);
  no_longer_sent(send.stream);
  end_files(*work);
}

asio::awaitable<void> Engine::send_batch(UploadBatchPtr work) {
  const bool ready = co_await prepare_files(work);
  if (ready) co_await send_all(work);
}

/// However slow the way is: a body that is called off is cut short.
asio::awaitable<void> Engine::send_unless_called_off(UploadBatchPtr work) {
  const auto executor = co_await asio::this_coro::executor;
  auto sending = asio::co_spawn(executor, send_batch(work), asio::deferred);
  auto calling_off = asio::co_spawn(executor, await_calling_off(work), asio::deferred);
  auto first = asio::experimental::make_parallel_group(std::move(sending), std::move(calling_off));
  const auto [order, threw, ignored] =
      co_await first.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  if (threw && !work->called_off) std::rethrow_exception(threw);
}

asio::awaitable<void> Engine::await_calling_off(UploadBatchPtr work) {
  boost::system::error_code ignored;
  if (!work->called_off) co_await work->calling_off.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

/// To its end, also when the batch is called off, or the daemon stops: what is there is to be assigned, and told.
asio::awaitable<void> Engine::undisturbed(awaitable<void> what) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await std::move(what);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
}

/// Nothing more of the feed's files is sent; its stream, which is to be paused before, is then at rest within moments.
asio::awaitable<void> Engine::call_off(FeedPtr feed) {
  const auto stream = feed->stream;
  for (int looks = 0; looks < looks_while_called_off && feed->stream == stream; ++looks) {
    if (core_.stream(stream, clock_.now()).wait != core::Wait::sending) co_return;
    if (const auto work = feed->uploading ? feed->uploading->under_way.lock() : nullptr) {
      work->called_off = true;
      work->calling_off.cancel();
    }
    co_await pause(between_looks);
  }
}

// Before anything is sent

asio::awaitable<bool> Engine::prepare_files(UploadBatchPtr work) {
  const auto& slot = servers_.at(work->server_id).slot;
  work->server = slot.server;
  if (!work->server) {
    work->failure = no_server<void>(slot.problem).error();
    co_return false;
  }
  const bool read = co_await read_files(work);
  if (!read) co_return false;
  co_await look_at_files(work);
  const bool wanted = co_await look_for_run(work);
  if (!wanted) co_return false;
  std::vector<std::size_t> unsigned_files;
  for (std::size_t i = 0; i < work->items.size(); ++i) {
    const auto& item = work->items[i];
    if (item.state != State::waiting || item.on_server || (item.begun && !work->send.ask_first)) continue;
    const bool asks = work->send.ask_first && unsigned_files.empty();
    if (asks || item.size <= signed_ahead_bytes) unsigned_files.push_back(i);
  }
  if (unsigned_files.empty()) co_return true;
  co_return co_await sign_files(work, std::move(unsigned_files));
}

asio::awaitable<bool> Engine::read_files(UploadBatchPtr work) {
  const auto& batch = work->batch;
  auto changes = co_await outcome(work->source->changes(batch.first, batch.last));
  if (!changes) {
    work->failure = source_failure(std::move(changes.error()));
    co_return false;
  }
  const auto first = upload_of(*work->feed, batch.first);
  const auto last = upload_of(*work->feed, batch.last);
  auto read = [first, last](Ledger& ledger) { return ledger.uploads(first.of, first.position, last.position); };
  auto known = co_await with_ledger(std::move(read));
  if (!known) {
    work->failure = source_failure(std::move(known.error()));
    co_return false;
  }
  const bool counts_files = work->feed->info.kind == sources::Kind::run_log;
  for (auto& change : *changes) {
    auto& item = work->items.emplace_back();
    const auto position = upload_of(*work->feed, change.position).position;
    if (const auto done = known->done.find(position); done != known->done.end()) {
      item.on_server = item.on_record = true;
      item.sent = done->second;
    }
    item.begun = known->begun.contains(position);
    auto upload = read_upload(change.payload);
    item.counted = change.payload.size();
    item.change = std::move(change);
    if (!upload) {
      item.refuse(upload.error().code, upload.error().message);
      continue;
    }
    item.upload = std::move(*upload);
    if (!item.change.uid)
      item.refuse("file_not_theirs",
                  fmt::format("it is not known who asked for the file {}, so it is not read; upload it again",
                              file_name(item.upload)));
    // Whoever has it tried again means the file as it is now.
    if (work->feed->replayed) item.upload.seen.reset();
    if (item.upload.seen) item.size = item.upload.seen->size;
    if (item.on_server) item.size = item.sent.size;
    if (counts_files) item.counted = item.size;
    if (item.upload.destination.empty() || item.upload.destination.size() > server::upload_limits::destination_bytes)
      item.refuse("destination_invalid",
                  fmt::format("its destination must have 1 to {} bytes", server::upload_limits::destination_bytes));
  }
  co_return true;
}

/// A file that is gone, or is not what it was, is no matter of the server.
asio::awaitable<void> Engine::look_at_files(UploadBatchPtr work) {
  std::vector<std::pair<std::size_t, server::SourceFile>> files;
  for (std::size_t i = 0; i < work->items.size(); ++i)
    if (const auto& item = work->items[i]; item.state == State::waiting && !item.on_server)
      files.emplace_back(i, source_file(item.upload, item.change.uid.value()));
  auto look = [files] {
    std::vector<Looked> looked;
    for (const auto& [index, file] : files) looked.push_back({server::identify(file)});
    return looked;
  };
  const auto looked = co_await file_threads_.run(std::move(look));
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto& item = work->items[files[i].first];
    const auto& identity = looked[i].identity;
    if (!identity && identity.error().retryable) {
      item.put_off(identity.error().code, identity.error().message);
    } else if (!identity) {
      item.refuse(identity.error().code, identity.error().message);
    } else if (item.upload.seen && item.upload.seen->size != identity->size) {
      item.refuse("file_changed",
                  fmt::format("the file {} has {} bytes, and had {} when its upload was asked for; upload it again",
                              file_name(item.upload), identity->size, item.upload.seen->size));
    } else {
      item.size = identity->size;
    }
  }
}

/// Something of it was taken a moment ago, or waits: then it is there, or its create is among that.
bool Engine::is_surely_there(const ContainerName& run) const {
  return std::ranges::any_of(feeds_, [this, &run](const auto& entry) {
    const auto& feed = *entry.second;
    if (feed.replayed || feed.info.container != run || feed.stream == 0) return false;
    const bool lately = feed.synced_at && clock_.wall() - *feed.synced_at < search_lag;
    return lately || feed.confirmed != feed.recorded || core_.stream(feed.stream, clock_.now()).tally.changes() > 0;
  });
}

/// A store takes files of any name: without this, those of a run that was deleted would go there for nobody. False when
/// the batch ends here: its run seems to be gone, which the next one finds again, or does not.
asio::awaitable<bool> Engine::look_for_run(UploadBatchPtr work) {
  const auto to_be_sent = [](const UploadItem& item) { return item.state == State::waiting && !item.on_server; };
  auto run = *work->feed->info.container;
  run.kind = ContainerKind::run;
  auto& missing_since = work->feed->uploading->run_missing_since;
  if (std::ranges::none_of(work->items, to_be_sent)) co_return true;
  Answer<bool> there = true;
  if (!is_surely_there(run)) there = co_await outcome(work->server->has_run(run));
  // Where it cannot be asked for, signing tells what there is to tell.
  if (!there || *there) {
    missing_since.reset();
    co_return true;
  }
  const auto now = clock_.now();
  auto why = fmt::format(
      "the server has no run {} in {} (any more), so this file was not uploaded; try it again once the run is there, "
      "or discard it",
      run.id, run.project.full());
  if (now - missing_since.value_or(now) >= search_lag) {
    for (auto& item : work->items)
      if (to_be_sent(item)) item.refuse("run_not_found", why);
    co_return true;
  }
  if (!missing_since) missing_since = now;
  work->failure = source_failure("run_not_found", std::move(why));
  work->failure->retry_after = 1s;
  co_return false;
}

/// False when the server did not sign; the batch then ends with its answer, unless that is about one file of several.
asio::awaitable<bool> Engine::sign_files(UploadBatchPtr work, std::vector<std::size_t> which) {
  std::vector<server::FileToSign> files;
  for (const auto index : which) {
    const auto& item = work->items[index];
    files.push_back({item.upload.project, item.upload.destination, item.size});
  }
  auto answer = co_await outcome(work->server->sign_uploads(std::move(files)));
  heard_from(work->server_id, failure_of(answer));
  if (!answer) {
    // One file that may not be signed must not stand for the others of its batch.
    const bool one_of_several = which.size() == 1 && work->items.size() > 1;
    if (one_of_several && speaks_of_the_file(answer.error()) && answer.error().status != 404) {
      work->items[which.front()].refuse(answer.error().code, answer.error().message);
      co_return true;
    }
    if (one_of_several && answer.error().kind == Failure::Kind::server_error && !work->send.ask_first) {
      put_off_file(*work, which.front(), not_signed(std::move(answer.error())));
      co_return true;
    }
    if (!work->failure) work->failure = std::move(answer.error());
    // A project or run that is not there (yet) is not the file's fault.
    if (work->failure->status == 404) work->failure->kind = Failure::Kind::forbidden;
    co_return false;
  }
  for (std::size_t i = 0; i < which.size(); ++i) work->items[which[i]].signed_file = std::move(answer->at(i));
  core_.taken(work->send.stream, clock_.now());
  pump();
  co_return true;
}

// Sending

/// As many at once as there are places; each takes the next file when its last one ended.
asio::awaitable<void> Engine::send_all(UploadBatchPtr work) {
  const auto executor = co_await asio::this_coro::executor;
  using Sender = decltype(asio::co_spawn(executor, send_next(work), asio::deferred));
  const auto at_once = std::min<std::size_t>(options_.uploads.max_concurrent, work->items.size());
  std::vector<Sender> senders;
  for (std::size_t i = 0; i < at_once; ++i)
    senders.push_back(asio::co_spawn(executor, send_next(work), asio::deferred));
  auto all = asio::experimental::make_parallel_group(std::move(senders));
  const auto [order, threw] = co_await all.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  for (const auto& each : threw)
    if (each) std::rethrow_exception(each);
}

asio::awaitable<void> Engine::send_next(UploadBatchPtr work) {
  while (work->next < work->items.size()) {
    const auto index = work->next++;
    auto& item = work->items[index];
    if (item.state != State::waiting) continue;
    if (item.on_server) {
      co_await undisturbed(finish_file(work, index));
    } else {
      co_await send_in_turns(work, index);
      if (item.state == State::waiting) co_return;  // halted
    }
    for (auto next = next_behind(work->items); next; next = next_behind(work->items))
      co_await undisturbed(assign_file(work, *next));
    if (item.is_final()) work->to_settle += item.size;
    const bool is_due = clock_.now() - work->settled_at >= settled_every || work->to_settle >= settled_bytes;
    if (is_due) co_await settle_files(work);
  }
  // What the others are sending may take long.
  co_await settle_files(work);
}

/// Until its end is known; at the end of a piece its place may go to another workspace, and it waits for the next.
asio::awaitable<void> Engine::send_in_turns(UploadBatchPtr work, std::size_t index) {
  const auto& item = work->items[index];
  while (item.state == State::waiting && !is_halted(*work)) {
    const auto slot = co_await upload_slots_.take(item.upload.project.workspace);
    if (is_halted(*work)) co_return;
    co_await send_file(work, index);
  }
}

asio::awaitable<void> Engine::send_file(UploadBatchPtr work, std::size_t index) {
  auto& item = work->items[index];
  while (item.state == State::waiting && !is_halted(*work)) {
    const bool was_signed = item.signed_file.has_value();
    auto how = co_await send_once(work, index);
    auto& tries = work->feed->uploading->tries[item.change.position];
    spdlog::debug("file container={:?} position={} sent={} kind={} code={}", work->feed->info.container->label(),
                  item.change.position, how.sent, static_cast<int>(how.kind), how.code);
    switch (how.kind) {
      case Kind::done:
        item.sent = how.file.value();
        item.size = item.sent.size;
        co_await undisturbed(finish_file(work, index));
        co_return;
      case Kind::refused:
      case Kind::source:
        item.refuse(std::move(how.code), std::move(how.message));
        co_return;
      case Kind::later:
      case Kind::stalled:
        if (how.code != "upload_halted") put_off_file(*work, index, how);
        co_return;
      case Kind::server:
        if (how.failure && speaks_of_the_file(*how.failure)) {
          item.refuse(std::move(how.code), std::move(how.message));
        } else if (how.failure) {
          heard_from(work->server_id, &*how.failure);
          // Such an answer may be this file's doing, and must not stand for the others.
          if (how.failure->kind == Failure::Kind::server_error)
            put_off_file(*work, index, how);
          else if (!work->failure)
            work->failure = std::move(how.failure);
        }
        co_return;
      case Kind::expired:
        if (was_signed && ++tries.signings >= most_signings) {
          item.refuse(how.code, given_up(how, advice_on(how, item.moved)));
          co_return;
        }
        break;
      case Kind::start_over:
        if (++tries.beginnings >= most_beginnings) {
          item.refuse(how.code, given_up(how, advice_on(how, item.moved)));
          co_return;
        }
        break;
    }
    if (is_halted(*work)) co_return;
    const std::vector<std::size_t> only{index};
    const bool signed_again = co_await sign_files(work, only);
    if (!signed_again) co_return;
  }
}

/// Ten events a file at most, and none of one that takes seconds only.
void Engine::tell_progress(ActiveUpload& active) {
  const auto tenths = active.total == 0 ? 0 : active.done * 10 / active.total;
  const auto now = clock_.now();
  if (tenths <= active.told_tenths || tenths >= 10 || now - active.told_at < progress_told_every) return;
  active.told_tenths = tenths;
  active.told_at = now;
  const auto mebibytes = [](double bytes) { return bytes / (1u << 20); };
  const auto done = static_cast<double>(active.done), total = static_cast<double>(active.total);
  auto text = fmt::format("{} of {}: {:.1f} of {:.1f} MiB", active.file, active.container.id, mebibytes(done),
                          mebibytes(total));
  if (const auto rate = active.rate.per_second(now); rate && *rate >= 1)
    text += fmt::format(", {:.1f} MiB/s, {:.0f} s left", mebibytes(*rate), (total - done) / *rate);
  tell_upload("upload_progress", std::move(text), active, active.done);
}

void Engine::tell_upload(const char* type, std::string message, const ActiveUpload& upload, std::uint64_t bytes) {
  events_.add(type, std::move(message),
              {.scope = Scope::of(upload.container.project).text(),
               .stream = upload.container.label(),
               .count = bytes,
               .upload = describe_upload(upload, clock_.now())});
}

void Engine::tell_uploaded(std::string message, ActiveUpload upload) {
  upload.done = upload.total;
  tell_upload("upload_done", std::move(message), upload, upload.total);
}

/// One of a batch, for people.
Engine::ActiveUpload Engine::upload_in(const Feed& feed, const UploadItem& item) {
  return {.container = *feed.info.container,
          .feed = &feed,
          .position = item.change.position,
          .attribute = item.upload.attribute,
          .file = file_name(item.upload),
          .total = item.size};
}

asio::awaitable<server::UploadOutcome> Engine::send_once(UploadBatchPtr work, std::size_t index) {
  auto& item = work->items[index];
  const auto& feed = *work->feed;
  const Uploading listed(*this, upload_in(feed, item));
  // Each time it has a place it gets further, however many wait.
  auto goes_on = [this, work, &listed, workspace = item.upload.project.workspace] {
    return !is_halted(*work) && !(listed.moved() && upload_slots_.is_to_make_room(workspace));
  };
  LedgerProgress progress(*this, upload_of(feed, item.change.position), item.begun, std::move(goes_on));
  server::Upload upload;
  upload.file = source_file(item.upload, item.change.uid.value());
  // A copy nobody else could change; it is another file when the state directory was moved.
  if (const auto& seen = item.upload.seen; seen && seen->inode != 0 && item.upload.copied_as.empty())
    upload.expected = server::FileIdentity{seen->inode, seen->size, seen->mtime_ns};
  upload.project = item.upload.project;
  upload.path = item.upload.destination;
  upload.content_type = item.upload.mime_type;
  upload.signed_file = std::exchange(item.signed_file, std::nullopt);
  upload.progress = &progress;
  upload.on_progress = listed.progress();
  if (!item.begun)
    tell_upload("upload_started", fmt::format("{} of {} is being uploaded", file_name(item.upload), item.upload.run),
                listed.upload(), item.size);
  item.begun = true;
  auto how = co_await upload_outcome(work->server->upload(std::move(upload), upload_settings()));
  auto& tries = work->feed->uploading->tries[item.change.position];
  item.moved = listed.moved();
  if (const auto done = listed.done(); done > tries.done) tries = {.done = done, .others = work->feed->uploading->sent};
  co_return how;
}

/// It is tried again, unless that went on for too long without an end.
void Engine::put_off_file(UploadBatch& work, std::size_t index, const server::UploadOutcome& how) {
  auto& item = work.items[index];
  auto& tries = work.feed->uploading->tries[item.change.position];
  if (tries.count++ == 0) tries.others = work.feed->uploading->sent;
  // The network, or a store that fails, is not the file's fault, unless others get there.
  const bool others_pass = work.feed->uploading->sent > tries.others;
  const auto most = options_.uploads.most_failures;
  const bool enough =
      how.kind == Kind::stalled ? tries.count >= std::min(most_stalls, most) : tries.count >= most && others_pass;
  if (enough) {
    item.refuse(how.code, given_up(how, advice_on(how, item.moved)));
  } else {
    item.put_off(how.code, how.message);
    item.retry_after = how.retry_after;
  }
}

/// All of it is on the server. What follows from that is done in an order in which it can be done again.
asio::awaitable<void> Engine::finish_file(UploadBatchPtr work, std::size_t index) {
  auto& item = work->items[index];
  if (!item.on_server) {
    // What is deleted, or assigned and then its owner's to delete, must not be asked for again.
    if (item.upload.goes_with_its_upload() || !item.upload.attribute.empty()) {
      DoneFile done{{upload_of(*work->feed, item.change.position), item.sent}, item.upload.goes_with_its_upload()};
      const auto marked = co_await files_done_.add(std::move(done));
      if (!marked) co_return item.put_off(marked.error().code, marked.error().message);
      item.on_record = true;
    }
    item.on_server = true;
    work->feed->uploading->sent++;
  }
  if (item.upload.goes_with_its_upload()) {
    auto file = source_file(item.upload, item.change.uid.value());
    std::optional<server::FileIdentity> was;
    if (item.upload.copied_as.empty()) was = item.sent;
    co_await delete_own_file(std::move(file), was);
  }
  item.behind = waits_for_earlier(work->items, index);
  // After the file, which may be what fills the disk.
  if (!item.behind) co_await assign_file(work, index);
}

asio::awaitable<Result<void>> Engine::record_done(std::vector<DoneFile> files) {
  const bool durable = std::ranges::any_of(files, &DoneFile::durable);
  std::vector<Ledger::DoneUpload> done;
  for (const auto& file : files) done.push_back(file.done);
  auto mark = [done = std::move(done), durable](Ledger& ledger) { return ledger.uploads_done(done, durable); };
  co_return co_await with_ledger(std::move(mark));
}

/// It is dealt with, once no earlier one of its attribute is left.
asio::awaitable<void> Engine::assign_file(UploadBatchPtr work, std::size_t index) {
  auto& item = work->items[index];
  item.behind = false;
  if (!item.upload.attribute.empty()) {
    if (!queue_) co_return item.put_off(queue_problem_.code, queue_problem_.message);
    auto change = file_reference(item.upload, item.size, to_unix_ms(item.change.at));
    Submitter by{item.change.uid.value(), {}};
    // One that is tried again stands at the end: its place was given up.
    const bool again = work->feed->replayed != nullptr;
    const auto place = again ? 0 : item.change.position;
    auto assigned = co_await outcome(queue_->accept_what_follows(std::move(change), std::move(by), place));
    if (!assigned) co_return item.put_off(assigned.error().code, assigned.error().message);
    if (!again) follow_up(item.change.position, assigned->ids.front());
  }
  item.state = State::done;
  work->feed->uploading->tries.erase(item.change.position);
  // With a batch that failed in part it comes here again, and is the same file still.
  if (!work->feed->uploading->told.insert(item.change.position).second) co_return;
  auto& uploaded = metrics_.uploaded[item.upload.project];
  uploaded.files++;
  uploaded.bytes += item.size;
  tell_uploaded(fmt::format("{} of {} is on the server", file_name(item.upload), item.upload.run),
                upload_in(*work->feed, item));
}

// What became of them

/// Some together: each alone would cost as much as a small file itself.
asio::awaitable<void> Engine::settle_files(UploadBatchPtr work) {
  work->settled_at = clock_.now();
  work->to_settle = 0;
  tell_files(*work, false);
  co_await record_files(work);
}

/// Those that are there and cannot be told yet, as an earlier one is on its way. Where that fails, it is tried again
/// with the next; it only saves time after a kill.
asio::awaitable<void> Engine::record_files(UploadBatchPtr work) {
  std::vector<std::size_t> which;
  std::vector<Ledger::DoneUpload> done;
  auto next = work->told;
  while (next < work->items.size() && work->items[next].is_final()) ++next;
  for (; next < work->items.size(); ++next) {
    const auto& item = work->items[next];
    if (!item.on_server || item.on_record) continue;
    which.push_back(next);
    done.push_back({upload_of(*work->feed, item.change.position), item.sent});
  }
  if (which.empty()) co_return;
  auto mark = [done = std::move(done)](Ledger& ledger) { return ledger.uploads_done(done, false); };
  const auto marked = co_await with_ledger(std::move(mark));
  for (const auto index : which) work->items[index].on_record = marked.has_value();
}

/// The files from the first on whose end is known.
void Engine::tell_files(UploadBatch& work, bool ended) {
  core::Sent sent;
  std::vector<core::Refusal> refused;
  auto next = work.told;
  for (; next < work.items.size() && work.items[next].is_final(); ++next) {
    auto& item = work.items[next];
    sent.last = item.change.position;
    sent.count++;
    sent.bytes += item.counted;
    if (item.state == State::refused) refused.push_back({item.change.position, item.code, item.message});
  }
  const bool all = next == work.items.size();
  if (!ended && all) return;
  if (sent.count == 0) return;
  work.told = next;
  if (all) {
    core_.stored(work.send.stream, sent, std::move(refused), clock_.now());
  } else {
    core_.stored_so_far(work.send.stream, sent, std::move(refused), clock_.now());
  }
  pump();
  tend(work.feed);
}

void Engine::end_files(UploadBatch& work) {
  tell_files(work, true);
  if (!work.items.empty() && work.told == work.items.size()) return;
  core::Sent rest{work.batch.last, work.batch.count - work.told, work.batch.payload_bytes, false};
  for (std::size_t i = 0; i < work.told; ++i) rest.bytes -= std::min(rest.bytes, work.items[i].counted);
  const auto off = std::ranges::find(work.items, State::later, &UploadItem::state);
  if (work.failure) {
    core_.failed(work.send.stream, rest, std::move(*work.failure), clock_.now());
  } else if (off != work.items.end()) {
    auto failure = source_failure(off->code, off->message);
    for (const auto& item : work.items) failure.retry_after = std::max(failure.retry_after, item.retry_after);
    core_.failed(work.send.stream, rest, std::move(failure), clock_.now());
  } else {
    core_.put_back(work.send.stream, clock_.now());
  }
  pump();
  tend(work.feed);
}

}  // namespace neptune::engine
