#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/sandbox/journal.h"
#include "tests/sandbox/request_reader.h"
#include "tests/sandbox/snapshot.h"
#include "tests/sandbox/store.h"

namespace neptune::sandbox {

/// Ingest requests between their 200 and their check.
///
/// Operation: a request is queued with its project's others and processed in order once it has waited for the delay;
/// a paused scope's requests wait for longer. One request is processed at a time, in one go.
/// Concurrency: one executor, one thread.
class IngestQueue {
 public:
  struct Status {
    bool pending = true;
    Counts counts;
    std::string message;                  ///< of what was not stored; may be empty
    std::string suspended_by;             ///< the read-only scope, when some or all of it was suspended
    std::int64_t processed_mono_us = -1;  ///< CLOCK_MONOTONIC; -1: not yet, or before this start
  };

  /// An arrived request, for tests that measure.
  struct Arrival {
    std::string id, project, run;
    bool create = false;
    std::size_t operations = 0, bytes = 0;
    std::int64_t mono_us = 0, wall_ms = 0;  ///< when the last byte of its body was there
  };

  IngestQueue(boost::asio::any_io_executor executor, Store& store, Journal& journal);

  std::chrono::milliseconds delay{3};
  std::vector<RejectRule> rules;

  /// Queues a request that `read_request` understood; the id to check it by.
  std::string submit(std::string body);

  const Status* status(const std::string& id) const;
  /// The last 10,000, oldest first.
  const std::deque<Arrival>& arrivals() const { return arrivals_; }
  std::size_t waiting() const;

  /// Requests of the scope stay unprocessed; an empty scope is everything.
  void pause(const Scope& scope) { paused_.insert(scope); }
  void resume(const Scope& scope);
  void resume_all();

  /// What the journal held.
  void replay_accepted(std::string_view id_and_body);
  void replay_processed(std::string_view id);

  /// Processes until cancelled.
  boost::asio::awaitable<void> run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    std::string id, body;
    Clock::time_point due;
  };
  using Queues = std::map<std::string, std::deque<Waiting>>;

  void enqueue(std::string id, std::string body, Clock::time_point due);
  bool paused(const std::string& project) const;
  void process(const Waiting& request);
  void apply(const IngestRequest& request, Status& status);
  void apply_create(const ProjectName& name, Project& project, const IngestRequest& request, Status& status);
  void apply_updates(const ProjectName& name, Run& run, const IngestRequest& request, double part, Status& status);

  Store& store_;
  Journal& journal_;
  boost::asio::any_io_executor executor_;
  boost::asio::steady_timer wake_;
  Queues queues_;  // by full project name
  std::unordered_map<std::string, Status> statuses_;
  std::deque<Arrival> arrivals_;
  std::set<Scope> paused_;
  std::uint64_t next_id_ = 1;
};

}  // namespace neptune::sandbox
