// Files: a batch is looked at, signed at once, and sent file by file; then the core is told what became of each.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "engine/engine.h"
#include "engine/impl/failures.h"
#include "engine/impl/ledger_progress.h"
#include "engine/impl/outcome.h"
#include "engine/impl/upload_batch.h"
#include "engine/impl/upload_outcome.h"
#include "engine/impl/with_ledger.h"

namespace neptune::engine {

namespace asio = boost::asio;
using Kind = server::UploadOutcome::Kind;
using State = UploadItem::State;

namespace {

// Our own bounds on what the store may answer of one file, in a row and without its getting further.
constexpr std::uint32_t most_signings = 3;        // of URLs that are refused at once
constexpr std::uint32_t most_beginnings = 5;      // of sessions that are gone each time
constexpr std::uint32_t most_refused_pieces = 8;  // HTTP 4xx that call for another try
constexpr std::uint32_t most_failures = 30;       // of the store, or on the way there, while other files get through
// What is told to the core at once while the rest of a batch is on its way.
constexpr std::size_t told_together = 16;
constexpr std::uint64_t told_bytes = 8u << 20;

server::SourceFile source_file(const UploadItem& item) {
  return {item.upload.file, item.upload.beneath, item.change.uid};
}

bool speaks_of_the_file(const Failure& failure) {
  return failure.kind == Failure::Kind::rejected || failure.kind == Failure::Kind::too_large;
}

std::string file_name(const FileUpload& upload) {
  return upload.beneath.empty() ? upload.file : upload.beneath + "/" + upload.file;
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
  return draining_ || work.failure || work.feed->stream != work.send.stream || !work.feed->source ||
         !core_.is_open(work.feed->info.container->project);
}

asio::awaitable<void> Engine::send_files(FeedPtr feed, std::shared_ptr<sources::Source> source, core::Send send,
                                         sources::Batch batch) {
  auto work = std::make_shared<UploadBatch>();
  work->feed = std::move(feed);
  work->source = std::move(source);
  work->send = send;
  work->batch = batch;
  work->server_id = server_of(work->feed->info.container->project.workspace);
  const core::Sent all{batch.last, batch.count, batch.payload_bytes, false};
  core_.begun(send.stream, all, clock_.now());
  const bool ready = co_await prepare_files(work);
  if (ready) co_await send_all(work);
  one_less_being_sent();
  end_files(*work);
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
  std::vector<std::size_t> unsigned_files;
  for (std::size_t i = 0; i < work->items.size(); ++i) {
    const auto& item = work->items[i];
    if (item.state == State::waiting && !item.on_server && (!item.begun || work->send.ask_first))
      unsigned_files.push_back(i);
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
    item.on_server = known->done.contains(position);
    item.begun = known->begun.contains(position);
    auto upload = read_upload(change.payload);
    item.counted = change.payload.size();
    item.change = std::move(change);
    if (!upload) {
      item.refuse(upload.error().code, upload.error().message);
      continue;
    }
    item.upload = std::move(*upload);
    // Whoever has it tried again means the file as it is now.
    if (work->feed->replayed) item.upload.seen.reset();
    if (item.upload.seen) item.size = item.upload.seen->size;
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
      files.emplace_back(i, source_file(item));
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

/// False when the server did not sign; the batch then ends with its answer.
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
    if (which.size() == 1 && work->items.size() > 1 && speaks_of_the_file(answer.error()) &&
        answer.error().status != 404) {
      work->items[which.front()].refuse(answer.error().code, answer.error().message);
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
      co_await finish_file(work, index);
    } else {
      const auto slot = co_await upload_slots_.take();
      if (is_halted(*work)) co_return;
      co_await send_file(work, index);
    }
    tell_files(*work, false);
  }
}

asio::awaitable<void> Engine::send_file(UploadBatchPtr work, std::size_t index) {
  auto& item = work->items[index];
  std::uint32_t signings = 0, beginnings = 0;
  while (item.state == State::waiting && !is_halted(*work)) {
    const bool was_signed = item.signed_file.has_value();
    auto how = co_await send_once(work, index);
    spdlog::debug("file container=\"{}\" position={} sent={} kind={} code={}", work->feed->info.container->label(),
                  item.change.position, how.sent, static_cast<int>(how.kind), how.code);
    switch (how.kind) {
      case Kind::done:
        if (how.file) item.size = how.file->size;
        co_await finish_file(work, index);
        co_return;
      case Kind::refused:
      case Kind::source:
        item.refuse(std::move(how.code), std::move(how.message));
        co_return;
      case Kind::later:
        if (how.code != "upload_halted") put_off_file(*work, index, how);
        co_return;
      case Kind::server:
        if (how.failure && speaks_of_the_file(*how.failure)) {
          item.refuse(std::move(how.code), std::move(how.message));
        } else if (how.failure) {
          heard_from(work->server_id, &*how.failure);
          if (!work->failure) work->failure = std::move(how.failure);
        }
        co_return;
      case Kind::expired:
        if (was_signed && ++signings >= most_signings) {
          item.refuse(std::move(how.code), std::move(how.message));
          co_return;
        }
        break;
      case Kind::start_over:
        if (++beginnings >= most_beginnings) {
          item.refuse(std::move(how.code), std::move(how.message));
          co_return;
        }
        break;
    }
    const std::vector<std::size_t> only{index};
    const bool signed_again = co_await sign_files(work, only);
    if (!signed_again) co_return;
  }
}

asio::awaitable<server::UploadOutcome> Engine::send_once(UploadBatchPtr work, std::size_t index) {
  auto& item = work->items[index];
  const auto& feed = *work->feed;
  LedgerProgress progress(*this, upload_of(feed, item.change.position), [this, work] { return !is_halted(*work); });
  const auto id = ++uploads_begun_;
  active_uploads_[id] = {*feed.info.container, item.upload.attribute, file_name(item.upload), 0, item.size};
  const Uploading listed(*this, id);
  server::Upload upload;
  upload.file = source_file(item);
  if (const auto& seen = item.upload.seen; seen && seen->inode != 0)
    upload.expected = server::FileIdentity{seen->device, seen->inode, seen->size, seen->mtime_ns};
  upload.project = item.upload.project;
  upload.path = item.upload.destination;
  upload.content_type = item.upload.mime_type;
  upload.signed_file = std::exchange(item.signed_file, std::nullopt);
  upload.progress = &progress;
  upload.on_progress = [this, id](std::uint64_t done) {
    auto& active = active_uploads_.at(id);
    if (done > active.done) active.rate.add(static_cast<double>(done - active.done), clock_.now());
    active.done = done;
  };
  if (!item.begun)
    events_.add(
        "upload_started", fmt::format("{} of {} is being uploaded", file_name(item.upload), item.upload.run),
        {.scope = Scope::of(item.upload.project).text(), .stream = feed.info.container->label(), .count = item.size});
  item.begun = true;
  auto how = co_await upload_outcome(work->server->upload(std::move(upload), upload_settings()));
  auto& tries = work->feed->tries[item.change.position];
  if (const auto done = active_uploads_.at(id).done; done > tries.done) tries = {0, done, work->feed->files_sent};
  co_return how;
}

/// It is tried again, unless that went on for too long without an end.
void Engine::put_off_file(UploadBatch& work, std::size_t index, const server::UploadOutcome& how) {
  auto& item = work.items[index];
  auto& tries = work.feed->tries[item.change.position];
  if (tries.count++ == 0) tries.others = work.feed->files_sent;
  // The network, or a store that fails, is not the file's fault, unless others get there.
  const bool others_pass = work.feed->files_sent > tries.others;
  const bool enough =
      how.code.starts_with("http_4") ? tries.count >= most_refused_pieces : tries.count >= most_failures && others_pass;
  if (enough) {
    item.refuse(how.code, fmt::format("{} ({} times in a row)", how.message, tries.count));
  } else {
    item.put_off(how.code, how.message);
  }
}

/// All of it is on the server. What follows from that is done in an order in which it can be done again.
asio::awaitable<void> Engine::finish_file(UploadBatchPtr work, std::size_t index) {
  auto& item = work->items[index];
  const auto which = upload_of(*work->feed, item.change.position);
  if (!item.on_server) {
    auto mark = [which, durable = item.upload.temporary](Ledger& ledger) { return ledger.upload_done(which, durable); };
    auto marked = co_await with_ledger(std::move(mark));
    if (!marked) co_return item.put_off(marked.error().code, marked.error().message);
    item.on_server = true;
  }
  if (!item.upload.attribute.empty()) {
    if (!queue_) co_return item.put_off(queue_problem_.code, queue_problem_.message);
    std::vector<Change> changes;
    changes.push_back(file_reference(item.upload, item.size, to_unix_ms(item.change.at)));
    Submitter by{item.change.uid.value_or(0), {}};
    auto assigned = co_await outcome(queue_->accept(std::move(changes), std::move(by)));
    if (!assigned) co_return item.put_off(assigned.error().code, assigned.error().message);
  }
  if (item.upload.temporary) {
    auto remove = [this, upload = item.upload] { delete_own_file(upload); };
    co_await file_threads_.run(std::move(remove));
  }
  item.state = State::done;
  work->feed->files_sent++;
  work->feed->tries.erase(item.change.position);
  events_.add("upload_done", fmt::format("{} of {} is on the server", file_name(item.upload), item.upload.run),
              {.scope = Scope::of(item.upload.project).text(),
               .stream = work->feed->info.container->label(),
               .count = item.size});
}

// What became of them

/// The files from the first on whose end is known. While others are on their way, some are told together.
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
  if (!ended && (all || (sent.count < told_together && sent.bytes < told_bytes))) return;
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
    core_.failed(work.send.stream, rest, source_failure(off->code, off->message), clock_.now());
  } else {
    core_.put_back(work.send.stream, clock_.now());
  }
  pump();
  tend(work.feed);
}

}  // namespace neptune::engine
