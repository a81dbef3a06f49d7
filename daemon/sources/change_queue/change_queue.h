#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sources/change_queue/queue_store.h"
#include "sources/source.h"
#include "support/clock.h"

namespace neptune::sources {

struct ChangeQueueOptions {
  std::filesystem::path file;  ///< `changes.sqlite3` of the state directory
  /// Of payloads that wait; past it nothing is accepted but a little that only removes (Change::frees).
  std::uint64_t max_bytes = 20ull << 30;
  /// Left free on the file's disk, else nothing is accepted, with the same exception; 0: no more than a few MiB.
  std::uint64_t min_free_disk = 1ull << 30;
  std::chrono::milliseconds keep_empty{30000};  ///< how long an emptied stream stays known
  /// What the engine's ledger knows of the queue with this identity; asked once, before anything is accepted.
  std::function<Result<OnRecord>(std::uint64_t queue)> on_record{};
};

/// The changes that were handed in over the socket, durable and in order; one Source a container, and one more for a
/// create that passed the writes before it (queue_store.h says what is on disk and what a power cut costs).
///
/// Operation: `accept` puts a request in line; one coroutine commits whatever is in line as one transaction (group
/// commit), so that a hundred clients cost as many syncs of the disk as one. What was accepted is announced to the
/// listener as a source that is there, or was written to. Settling works whatever the bounds say, and without free
/// space (the engine's ledger then stands in, as for a run log on a full disk).
///
/// Concurrency: one executor and thread; SQLite on a thread of its own.
class ChangeQueue {
 public:
  /// Opens or makes the file, on the caller's thread. Errors: "queue_unusable", "queue_too_new", "disk_full".
  static Result<std::unique_ptr<ChangeQueue>> open(boost::asio::any_io_executor executor, const Clock& clock,
                                                   ChangeQueueOptions options, SourceListener& listener);
  ~ChangeQueue();

  /// Tells the listener what waits from before.
  void announce();

  /// Of a request's changes, one after the other.
  struct Taken {
    std::vector<std::int64_t> ids;
    std::vector<bool> known;  ///< it was accepted before, under its key, and is not queued again
  };
  /// Queues all of a request or nothing; what became of it once that is on disk. Errors: "queue_full", "low_disk",
  /// "disk_full", "idempotency_key_reused" (QueueStore::accept), and SQLite's own.
  boost::asio::awaitable<Result<Taken>> accept(std::vector<Change> changes, Submitter by);
  /// The same of a change that follows from one that was accepted: whatever the bounds say, and at that one's place in
  /// the row; 0: at its end.
  boost::asio::awaitable<Result<Taken>> accept_what_follows(Change change, Submitter by, Position place);

  /// Why nothing is accepted while the disk of `dir` is full.
  static Error disk_full(const std::filesystem::path& dir);

  /// Moves the first removal of this project to those that wait (QueueStore::step_aside), which are announced.
  boost::asio::awaitable<Result<void>> step_aside(ContainerName removals, Position position);

  /// Lets the create that waits behind this container's writes pass them (QueueStore::let_create_pass): it is announced
  /// as a source of its own.
  boost::asio::awaitable<Result<void>> let_create_pass(ContainerName container, Position after);

  /// Whether a change of this user's was accepted under this key: it is not queued again.
  boost::asio::awaitable<Result<bool>> knows(std::uint32_t uid, std::string key);

  /// Hands the payload of each change that waits for containers of this kind to `f`, on the queue's thread.
  boost::asio::awaitable<Result<void>> each_payload(ContainerKind kind, std::function<void(std::string_view)> f);

  /// Gives the disk back what the queue's log takes of it (sqlite::Store::give_back_log).
  boost::asio::awaitable<Result<void>> give_back_log();

  /// Where one change is.
  boost::asio::awaitable<Result<QueueStore::Place>> place(Position position);

  /// What left the queue for another machine (QueueStore::moved), as it was at the start: it does while no daemon runs.
  const std::vector<QueueStore::MovedStream>& moved() const;

  /// What was given out and is gone (QueueStore::gaps), as it was at the start.
  const std::vector<QueueGap>& gaps() const;
  /// Of these, the newest that nobody was told of yet.
  const std::optional<QueueGap>& new_gap() const;
  const std::filesystem::path& file() const;

  std::uint64_t identity() const;  ///< of its file: SourceKey::device of its streams

  struct Totals {
    std::uint64_t streams = 0, bytes = 0, max_bytes = 0;
    std::uint64_t commits = 0;            ///< of accepted requests, since the start
    std::uint64_t min_free_disk = 0;      ///< as in the options
    std::optional<Instant> no_room_at{};  ///< when "disk_full" was answered last, if nothing was taken since
    /// What was answered last as the file could not be written, and when, if nothing was taken since.
    std::optional<std::pair<Instant, std::string>> failed{};
  };
  Totals totals() const;

  /// New bounds for what is accepted from now on.
  void set_limits(std::uint64_t max_bytes, std::uint64_t min_free_disk);

  /// Ends its tasks. What is in line and not committed is refused.
  boost::asio::awaitable<void> stop();

 private:
  class Impl;
  explicit ChangeQueue(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::sources
