#include "sources/change_queue/change_queue.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <map>
#include <utility>

#include "sources/change_queue/queued_source.h"
#include "support/disk.h"
#include "support/sizes.h"
#include "support/task_group.h"
#include "support/try.h"

namespace neptune::sources {

namespace asio = boost::asio;

namespace {

using Taken = ChangeQueue::Taken;

std::uint64_t payload_bytes(const Handed& request) {
  std::uint64_t bytes = 0;
  for (const auto& change : request.changes) bytes += change.payload.size();
  return bytes;
}

/// What only removes may be what makes room: a queue that is full of writes to a full workspace takes it still.
bool only_frees(const Handed& request) {
  return std::ranges::all_of(request.changes, &Change::frees);
}
constexpr std::uint64_t for_removals = 4u << 20;  // our own bound on them, past the others

struct StreamName {
  ContainerName container;
  Lane lane = Lane::writes;
  auto operator<=>(const StreamName&) const = default;
};

SourceKey key_of(std::uint64_t queue, const StreamName& stream) {
  SourceKey key;
  key.device = queue;
  key.path = queue_path(stream.container, stream.lane);
  return key;
}

SourceInfo info_of(std::uint64_t queue, const QueuedStream& stream) {
  SourceInfo info;
  info.key = key_of(queue, {stream.container, stream.lane});
  info.kind = Kind::change_queue;
  info.state = SourceState::closed;
  info.container = stream.container;
  // As run logs count: nanoseconds. What passed stands behind what it may pass, and assignments before all.
  const auto order = stream.lane == Lane::assignments ? 0 : stream.begun_ms * 1'000'000;
  info.order = fmt::format("{:020}", order + (stream.lane == Lane::passed ? 1 : 0));
  return info;
}

/// One commit for all requests in line; each is refused or accepted by itself.
struct Commit {
  std::vector<Result<Taken>> outcomes;
  std::vector<QueueStore::Accepted::Touched> touched;
  bool committed = false;
};

/// What a request takes of the log, and as much again of the file. Our own bound on what a change takes beside.
std::uint64_t written_bytes(const Handed& request) {
  constexpr std::uint64_t of_a_change = 512;
  return payload_bytes(request) + of_a_change * request.changes.size();
}

// Left on the disk whatever the bounds say, so that what waits can be sent, put on record and taken out: the logs of
// the queue and the ledger are moved into their files at 4 MiB. What goes where synced changes were needs less, or a
// disk that was filled once would stay full. Our own bounds.
constexpr std::uint64_t left_where_it_grows = 6u << 20;
constexpr std::uint64_t left_in_any_case = 1u << 20;

/// What may be added, from when the commit began.
struct Room {
  std::uint64_t queued;
  std::uint64_t on_disk;  ///< beside what moving the log into the file may take
  std::uint64_t inside;   ///< free in the file
  std::uint64_t free;     ///< of both, as people know it

  Result<void> take(const ChangeQueueOptions& options, const Handed& request) {
    const auto size = payload_bytes(request);
    const bool frees = only_frees(request);
    if (queued + size > options.max_bytes + (frees ? for_removals : 0))
      return fail(
          "queue_full",
          fmt::format("the change queue holds {} of at most {} ([queue] max_bytes), and this request would add {}. "
                      "Nothing of it was taken. `neptune-sync status` tells what waits and why; hand it in again "
                      "when some of that is synced.",
                      size_text(queued), size_text(options.max_bytes), size_text(size)),
          true);
    const auto keep =
        frees ? options.min_free_disk - std::min(options.min_free_disk, for_removals) : options.min_free_disk;
    if (options.min_free_disk > 0 && free < keep + size)
      return fail("low_disk",
                  fmt::format("{} are free on the disk of {}, and [queue] min_free_disk keeps {} of them free. Nothing "
                              "of this request was taken; free some space there.",
                              size_text(free), options.file.parent_path().string(), size_text(options.min_free_disk)),
                  true);
    if (!frees && on_disk < needed_for(request))
      return std::unexpected(ChangeQueue::disk_full(options.file.parent_path()));
    const auto written = written_bytes(request);
    const auto reused = std::min(inside, written);
    queued += size;
    free -= std::min(free, size);
    inside -= reused;
    on_disk -= std::min(on_disk, 2 * written - reused);
    return {};
  }

  std::uint64_t needed_for(const Handed& request) const {
    const auto written = written_bytes(request);
    const auto grows = written - std::min(inside, written);
    return written + grows + (grows > 0 ? left_where_it_grows : left_in_any_case);
  }
};

Room room_in(QueueStore& store, const ChangeQueueOptions& options) {
  const auto free = free_space(options.file);
  if (!free) return {store.bytes(), ~0ull, 0, ~0ull};
  std::uint64_t inside = 0;
  // Asked for only where it decides: what was settled made room inside the file.
  if (*free < options.min_free_disk + options.max_bytes)
    if (const auto reusable = store.reusable_bytes()) inside = *reusable;
  return {store.bytes(), *free - std::min(*free, store.log_bytes()), inside, *free + inside};
}

/// With what the log takes given back, where that may decide it.
Room room_for(QueueStore& store, const ChangeQueueOptions& options, const std::vector<Handed>& requests) {
  auto wanted = std::max(options.min_free_disk, left_where_it_grows);
  for (const auto& request : requests) wanted += 2 * written_bytes(request);
  const auto room = room_in(store, options);
  if (room.on_disk >= wanted || store.log_bytes() == 0 || !store.give_back_log()) return room;
  return room_in(store, options);
}

/// A request that was accepted before, and only comes again because its answer was lost, needs no room.
Result<void> take_room(QueueStore& store, const ChangeQueueOptions& options, Room& room, const Handed& request) {
  if (request.settles) return {};
  auto taken = room.take(options, request);
  if (taken) return taken;
  const auto bytes = store.new_bytes(request);
  if (!bytes) return std::unexpected(bytes.error());
  if (*bytes == 0) return {};
  return taken;
}

Error explained(const ChangeQueueOptions& options, const Error& error) {
  return error.code == "sqlite_full" ? ChangeQueue::disk_full(options.file.parent_path()) : error;
}

Commit commit(QueueStore& store, const ChangeQueueOptions& options, std::vector<Handed> requests, WallTime now) {
  Commit commit;
  std::vector<Handed> taken;
  std::vector<std::size_t> places;
  auto room = room_for(store, options, requests);
  for (auto& request : requests) {
    const auto fits = take_room(store, options, room, request);
    if (!fits) {
      commit.outcomes.emplace_back(std::unexpected(explained(options, fits.error())));
      continue;
    }
    places.push_back(commit.outcomes.size());
    taken.push_back(std::move(request));
    commit.outcomes.emplace_back(Taken{});
  }
  if (taken.empty()) return commit;
  auto accepted = store.accept(taken, now);
  for (std::size_t i = 0; i < places.size(); ++i) {
    auto& outcome = commit.outcomes[places[i]];
    if (accepted && accepted->refused[i]) {
      outcome = std::unexpected(std::move(*accepted->refused[i]));
    } else if (accepted) {
      outcome = Taken{std::move(accepted->ids[i]), std::move(accepted->known[i])};
    } else {
      outcome = std::unexpected(explained(options, accepted.error()));
    }
  }
  commit.committed = accepted.has_value();
  if (accepted) commit.touched = std::move(accepted->touched);
  return commit;
}

/// As `commit`; running out of memory refuses what is in line and nothing more.
Commit commit_or_refuse(QueueStore& store, const ChangeQueueOptions& options, std::vector<Handed> requests,
                        WallTime now) {
  const auto count = requests.size();
  try {
    return commit(store, options, std::move(requests), now);
  } catch (const std::exception& e) {
    const auto error =
        fail("queue_failed", fmt::format("nothing of this request was taken: {}; try again", e.what()), true);
    return {std::vector<Result<Taken>>(count, error), {}, false};
  }
}

}  // namespace

class ChangeQueue::Impl {
 public:
  /// What its file told when it was opened.
  struct Found {
    std::vector<QueuedStream> streams;
    std::vector<QueueStore::MovedStream> moved;
    std::vector<QueueGap> gaps;
    std::optional<QueueGap> new_gap;
  };
  static Result<Found> find(QueueStore& store, const ChangeQueueOptions& options, WallTime now) {
    Found found;
    auto record = options.on_record ? options.on_record(store.identity()) : Result<OnRecord>();
    if (!record) return std::unexpected(std::move(record.error()));
    auto gap = store.close_gap(*record, now);
    if (!gap) return std::unexpected(std::move(gap.error()));
    auto gaps = store.gaps();
    if (!gaps) return std::unexpected(std::move(gaps.error()));
    found.gaps = std::move(*gaps);
    // It may have been found while no daemon ran, by a look through the queue or an import.
    for (const auto& each : found.gaps)
      if (!each.told) found.new_gap = each;
    if (found.new_gap) NEPTUNE_TRY(store.gaps_are_told());
    auto streams = store.streams();
    if (!streams) return std::unexpected(std::move(streams.error()));
    found.streams = std::move(*streams);
    auto moved = store.moved();
    if (!moved) return std::unexpected(std::move(moved.error()));
    found.moved = std::move(*moved);
    return found;
  }

  Impl(asio::any_io_executor executor, const Clock& clock, ChangeQueueOptions options, SourceListener& listener,
       std::unique_ptr<QueueStore> store, Found found)
      : executor_(executor),
        clock_(clock),
        options_(std::move(options)),
        listener_(listener),
        identity_(store->identity()),
        queue_(std::make_shared<QueueThread>(std::move(store))),
        found_(std::move(found.streams)),
        moved_(std::move(found.moved)),
        gaps_(std::move(found.gaps)),
        new_gap_(found.new_gap),
        tasks_(executor) {}

  ~Impl() {
    for (auto& [name, source] : sources_) source->forget_listener();
  }

  void announce() {
    for (const auto& stream : std::exchange(found_, {})) {
      touch(stream);
      grew(stream, {0, 0, stream.count, stream.bytes});
    }
  }

  asio::awaitable<Result<Taken>> accept(Handed handed) {
    if (stopping_) co_return stops();
    auto request = std::make_shared<Request>(executor_);
    request->handed = std::move(handed);
    line_.push_back(request);
    if (!std::exchange(committing_, true)) tasks_.spawn("commit changes", commit_line());
    // Whoever stops waiting loses only the answer: what was accepted stays.
    boost::system::error_code ignored;
    while (!request->outcome) co_await request->done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return std::move(*request->outcome);
  }

  template <class F>
  auto on_thread(F work) -> asio::awaitable<std::invoke_result_t<F&, QueueStore&>> {
    auto call = [queue = queue_, work = std::move(work)]() mutable { return work(*queue->store); };
    co_return co_await queue_->thread.run(std::move(call));
  }

  asio::awaitable<Result<void>> step_aside(ContainerName removals, Position position) {
    auto move = [stream = stream_of({removals}), position](QueueStore& store) {
      return store.step_aside(stream, position);
    };
    const auto moved = co_await on_thread(std::move(move));
    if (!moved) co_return std::unexpected(moved.error());
    if (*moved) touch(**moved);
    let_go_later({removals});
    co_return Result<void>{};
  }

  asio::awaitable<Result<void>> let_create_pass(ContainerName container, Position after) {
    auto move = [stream = stream_of({container}), after](QueueStore& store) {
      return store.let_create_pass(stream, after);
    };
    const auto moved = co_await on_thread(std::move(move));
    if (!moved) co_return std::unexpected(moved.error());
    if (*moved) touch(**moved);
    co_return Result<void>{};
  }

  std::int64_t stream_of(const StreamName& name) const {
    const auto it = sources_.find(name);
    return it == sources_.end() ? 0 : it->second->stream();
  }

  const std::vector<QueueStore::MovedStream>& moved() const { return moved_; }
  const std::vector<QueueGap>& gaps() const { return gaps_; }
  const std::optional<QueueGap>& new_gap() const { return new_gap_; }
  const std::filesystem::path& file() const { return options_.file; }
  std::uint64_t identity() const { return identity_; }
  Totals totals() const {
    return {sources_.size(), queue_->store->bytes(), options_.max_bytes, commits_, options_.min_free_disk, no_room_at_,
            failed_};
  }

  void set_limits(std::uint64_t max_bytes, std::uint64_t min_free_disk) {
    options_.max_bytes = max_bytes;
    options_.min_free_disk = min_free_disk;
  }

  asio::awaitable<void> stop() {
    stopping_ = true;
    co_await tasks_.stop();
    for (const auto& request : std::exchange(line_, {})) {
      request->outcome = stops();
      request->done.cancel();
    }
  }

 private:
  struct Request {
    explicit Request(const asio::any_io_executor& executor) : done(executor, asio::steady_timer::time_point::max()) {}
    Handed handed;
    std::optional<Result<Taken>> outcome;
    asio::steady_timer done;  // cancelled when the outcome is there
  };

  static std::unexpected<Error> stops() {
    return fail("draining", "the daemon stops; hand the changes in again when it runs", true);
  }

  asio::awaitable<void> commit_line() {
    // Requests that came while it stops are refused by `stop`.
    while (!line_.empty() && !stopping_) {
      auto requests = std::exchange(line_, {});
      std::vector<Handed> handed;
      for (const auto& request : requests) handed.push_back(std::move(request->handed));
      auto work = [queue = queue_.get(), options = options_, handed = std::move(handed),
                   now = clock_.wall()]() mutable {
        return commit_or_refuse(*queue->store, options, std::move(handed), now);
      };
      const auto queue = queue_;
      auto done = co_await queue->thread.run(std::move(work));
      if (done.committed) commits_++;
      const auto is_disk_full = [](const Result<Taken>& each) { return !each && each.error().code == "disk_full"; };
      if (std::ranges::any_of(done.outcomes, is_disk_full)) {
        no_room_at_ = clock_.now();
      } else if (done.committed) {
        no_room_at_.reset();
      }
      const auto is_of_file = [](const Result<Taken>& each) {
        return !each && each.error().code.starts_with("sqlite_");
      };
      const auto failed = std::ranges::find_if(done.outcomes, is_of_file);
      if (failed != done.outcomes.end()) {
        failed_.emplace(clock_.now(), failed->error().message);
      } else if (done.committed) {
        failed_.reset();
      }
      for (std::size_t i = 0; i < requests.size(); ++i) {
        requests[i]->outcome = std::move(done.outcomes[i]);
        requests[i]->done.cancel();
      }
      for (const auto& [stream, growth] : done.touched) {
        touch(stream);
        grew(stream, growth);
      }
    }
    committing_ = false;
  }

  /// A stream holds something (more): its source is announced, or told to have been written to.
  void touch(const QueuedStream& stream) {
    const auto it = sources_.try_emplace({stream.container, stream.lane}).first;
    const auto& name = it->first;
    auto& source = it->second;
    if (source) {
      source->begin_anew(stream.id);
      listener_.source_written(key_of(identity_, name));
      return;
    }
    auto emptied = [this, name = &name] { let_go_later(*name); };  // told no more once it is erased
    source = std::make_shared<QueuedSource>(queue_, stream.id, std::move(emptied));
    listener_.source_changed(info_of(identity_, stream), source);
    if (stream.count == 0) let_go_later(name);
  }

  void grew(const QueuedStream& stream, const Growth& growth) {
    if (growth.count > 0) listener_.source_grew(key_of(identity_, {stream.container, stream.lane}), growth);
  }

  void let_go_later(const StreamName& name) {
    const auto at = clock_.now() + options_.keep_empty;
    if (!empty_until_.insert_or_assign(name, at).second) return;
    emptied_.emplace_back(at, name);
    if (!std::exchange(letting_go_, true)) tasks_.spawn("let go of empty streams", let_go());
  }

  /// A stream that stayed empty for a while is forgotten, so that memory and start-up cost what waits.
  asio::awaitable<void> let_go() {
    asio::steady_timer timer(executor_);
    while (!emptied_.empty()) {
      const auto [at, name] = emptied_.front();
      timer.expires_at(at);
      co_await timer.async_wait(asio::use_awaitable);
      emptied_.pop_front();
      const auto until = empty_until_.at(name);
      if (until > at) {
        emptied_.emplace_back(until, name);  // it was emptied again meanwhile
        continue;
      }
      empty_until_.erase(name);
      co_await forget(name);
    }
    letting_go_ = false;
  }

  asio::awaitable<void> forget(StreamName name) {
    const auto stream = stream_of(name);
    if (stream == 0) co_return;
    const auto queue = queue_;
    auto work = [store = queue->store.get(), stream] { return store->forget(stream); };
    auto gone = co_await queue->thread.run(std::move(work));
    if (!gone)
      spdlog::warn("an empty stream stays container={:?} error={:?}", name.container.label(), gone.error().message);
    if (!gone || !*gone || stream_of(name) != stream) co_return;
    const auto it = sources_.find(name);
    it->second->forget_listener();
    sources_.erase(it);
    listener_.source_vanished(key_of(identity_, name));
  }

  asio::any_io_executor executor_;
  const Clock& clock_;
  ChangeQueueOptions options_;
  SourceListener& listener_;
  const std::uint64_t identity_;  // of the file
  std::shared_ptr<QueueThread> queue_;
  std::vector<QueuedStream> found_;
  const std::vector<QueueStore::MovedStream> moved_;
  const std::vector<QueueGap> gaps_;
  const std::optional<QueueGap> new_gap_;
  std::map<StreamName, std::shared_ptr<QueuedSource>> sources_;
  std::vector<std::shared_ptr<Request>> line_;
  std::deque<std::pair<Instant, StreamName>> emptied_;  // each once
  std::map<StreamName, Instant> empty_until_;           // when it may be forgotten, of those in `emptied_`
  std::uint64_t commits_ = 0;
  std::optional<Instant> no_room_at_;
  std::optional<std::pair<Instant, std::string>> failed_;
  bool committing_ = false;
  bool letting_go_ = false;
  bool stopping_ = false;
  TaskGroup tasks_;
};

ChangeQueue::ChangeQueue(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChangeQueue::~ChangeQueue() = default;

Result<std::unique_ptr<ChangeQueue>> ChangeQueue::open(asio::any_io_executor executor, const Clock& clock,
                                                       ChangeQueueOptions options, SourceListener& listener) {
  auto store = QueueStore::open(options.file);
  if (!store) return std::unexpected(std::move(store.error()));
  auto found = Impl::find(**store, options, clock.wall());
  if (!found)
    return fail("queue_unusable",
                fmt::format("the change queue {} cannot be used: {}", options.file.string(), found.error().message));
  return std::unique_ptr<ChangeQueue>(new ChangeQueue(std::make_unique<Impl>(
      std::move(executor), clock, std::move(options), listener, std::move(*store), std::move(*found))));
}

void ChangeQueue::announce() {
  impl_->announce();
}

asio::awaitable<Result<Taken>> ChangeQueue::accept(std::vector<Change> changes, Submitter by) {
  return impl_->accept({std::move(changes), std::move(by)});
}

asio::awaitable<Result<Taken>> ChangeQueue::accept_what_follows(Change change, Submitter by, Position place) {
  Handed handed{{}, std::move(by), true, place};
  handed.changes.push_back(std::move(change));
  return impl_->accept(std::move(handed));
}

Error ChangeQueue::disk_full(const std::filesystem::path& dir) {
  return {
      "disk_full",
      fmt::format("the disk of {} is full. Nothing of this request was taken; free some space there.", dir.string()),
      true};
}

asio::awaitable<Result<void>> ChangeQueue::step_aside(ContainerName removals, Position position) {
  return impl_->step_aside(std::move(removals), position);
}

asio::awaitable<Result<void>> ChangeQueue::let_create_pass(ContainerName container, Position after) {
  return impl_->let_create_pass(std::move(container), after);
}

asio::awaitable<Result<bool>> ChangeQueue::knows(std::uint32_t uid, std::string key) {
  auto work = [uid, key = std::move(key)](QueueStore& store) -> Result<bool> {
    const auto id = store.id_of_key(uid, key);
    if (!id) return std::unexpected(id.error());
    return id->has_value();
  };
  return impl_->on_thread(std::move(work));
}

asio::awaitable<Result<void>> ChangeQueue::each_payload(ContainerKind kind, std::function<void(std::string_view)> f) {
  auto work = [kind, f = std::move(f)](QueueStore& store) { return store.each_payload(kind, f); };
  return impl_->on_thread(std::move(work));
}

asio::awaitable<Result<void>> ChangeQueue::give_back_log() {
  return impl_->on_thread([](QueueStore& store) { return store.give_back_log(); });
}

void ChangeQueue::set_limits(std::uint64_t max_bytes, std::uint64_t min_free_disk) {
  impl_->set_limits(max_bytes, min_free_disk);
}

asio::awaitable<Result<QueueStore::Place>> ChangeQueue::place(Position position) {
  auto work = [position](QueueStore& store) { return store.place(position); };
  return impl_->on_thread(std::move(work));
}

const std::vector<QueueStore::MovedStream>& ChangeQueue::moved() const {
  return impl_->moved();
}

const std::vector<QueueGap>& ChangeQueue::gaps() const {
  return impl_->gaps();
}

const std::optional<QueueGap>& ChangeQueue::new_gap() const {
  return impl_->new_gap();
}

const std::filesystem::path& ChangeQueue::file() const {
  return impl_->file();
}

std::uint64_t ChangeQueue::identity() const {
  return impl_->identity();
}

ChangeQueue::Totals ChangeQueue::totals() const {
  return impl_->totals();
}

asio::awaitable<void> ChangeQueue::stop() {
  return impl_->stop();
}

}  // namespace neptune::sources
