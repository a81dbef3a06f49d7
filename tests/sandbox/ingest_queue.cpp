#include "tests/sandbox/ingest_queue.h"

#include <fmt/format.h>
#include <google/protobuf/arena.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <cmath>

#include "changes/limits.h"
#include "proto/ingest.pb.h"

namespace neptune::sandbox {

namespace asio = boost::asio;
using ingest::v1::UpdateRunSnapshot;

namespace {

constexpr std::size_t id_bytes = 16;
constexpr std::size_t arrivals_kept = 10'000;

/// One snapshot after the other in the same memory.
class SnapshotParser {
 public:
  /// Valid until the next call; null when it is damaged.
  const UpdateRunSnapshot* parse(std::string_view bytes) {
    arena_.Reset();
    auto* snapshot = google::protobuf::Arena::CreateMessage<UpdateRunSnapshot>(&arena_);
    return snapshot->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ? snapshot : nullptr;
  }

 private:
  google::protobuf::Arena arena_;
};

std::int64_t mono_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool earlier(const Datetime& left, const Datetime& right) {
  return left.seconds != right.seconds ? left.seconds < right.seconds : left.nanos < right.nanos;
}

/// How many values the request holds, so that all of them can be counted as the same.
std::int64_t values_from(const IngestRequest& request, std::size_t first_snapshot) {
  if (request.create) return 1;
  std::int64_t values = 0;
  SnapshotParser parser;
  for (std::size_t i = first_snapshot; i < request.snapshots.size(); ++i)
    values += values_of(*parser.parse(request.snapshots[i]));
  return values;
}

}  // namespace

IngestQueue::IngestQueue(asio::any_io_executor executor, Store& store, Journal& journal)
    : store_(store), journal_(journal), executor_(executor), wake_(executor) {}

std::string IngestQueue::submit(std::string body) {
  const auto request = read_request(body);
  auto id = fmt::format("{:0{}x}", next_id_++, id_bytes);
  arrivals_.push_back({id, request->project, request->run, request->create.has_value(), request->operations(),
                       body.size(), mono_us(), wall_ms()});
  if (arrivals_.size() > arrivals_kept) arrivals_.pop_front();
  journal_.write(Journal::Kind::accepted, id, body);
  enqueue(id, std::move(body), Clock::now() + delay);
  wake_.cancel();
  return id;
}

void IngestQueue::enqueue(std::string id, std::string body, Clock::time_point due) {
  statuses_[id] = Status();
  const auto project = read_request(body)->project;
  queues_[project].push_back({std::move(id), std::move(body), due});
}

void IngestQueue::replay_accepted(std::string_view id_and_body) {
  const auto id = id_and_body.substr(0, id_bytes);
  std::uint64_t number = 0;
  std::from_chars(id.data(), id.data() + id.size(), number, 16);
  next_id_ = std::max(next_id_, number + 1);
  enqueue(std::string(id), std::string(id_and_body.substr(id.size())), Clock::now());
}

void IngestQueue::replay_processed(std::string_view id) {
  for (auto& [project, queue] : queues_) {
    if (queue.empty() || queue.front().id != id) continue;
    process(queue.front());
    queue.pop_front();
    return;
  }
}

const IngestQueue::Status* IngestQueue::status(const std::string& id) const {
  const auto found = statuses_.find(id);
  return found == statuses_.end() ? nullptr : &found->second;
}

std::size_t IngestQueue::waiting() const {
  std::size_t sum = 0;
  for (const auto& [project, queue] : queues_) sum += queue.size();
  return sum;
}

void IngestQueue::resume(const Scope& scope) {
  paused_.erase(scope);
  wake_.cancel();
}

void IngestQueue::resume_all() {
  paused_.clear();
  wake_.cancel();
}

bool IngestQueue::paused(const std::string& project) const {
  if (paused_.contains(Scope())) return true;
  const auto name = ProjectName::parse(project);
  return name && (paused_.contains(Scope::of(name->workspace)) || paused_.contains(Scope::of(*name)));
}

asio::awaitable<void> IngestQueue::run() {
  while (true) {
    const auto now = Clock::now();
    auto wake_at = Clock::time_point::max();
    bool busy = false;
    for (auto& [project, queue] : queues_) {
      if (queue.empty() || paused(project)) continue;
      if (queue.front().due > now) {
        wake_at = std::min(wake_at, queue.front().due);
        continue;
      }
      journal_.write(Journal::Kind::processed, queue.front().id);
      process(queue.front());
      statuses_[queue.front().id].processed_mono_us = mono_us();
      queue.pop_front();
      busy = true;
    }
    if (busy) {
      co_await asio::post(executor_, asio::use_awaitable);
      continue;
    }
    boost::system::error_code woken;
    wake_.expires_at(wake_at);
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

void IngestQueue::process(const Waiting& waiting) {
  auto& status = statuses_[waiting.id];
  status.pending = false;
  const auto request = read_request(waiting.body);
  apply(*request, status);
  for (const auto& [code, count] : status.counts)
    if (code != IngestCode::ok && !is_duplicate(code) && status.message.empty())
      status.message = fmt::format("{} of the request's values: {}", count, name(code));
  if (status.counts.empty()) status.counts[IngestCode::ok] = 1;
}

void IngestQueue::apply(const IngestRequest& request, Status& status) {
  const auto all = [&](IngestCode code) { status.counts[code] += values_from(request, 0); };
  const auto project_name = ProjectName::parse(request.project);
  if (!project_name || !valid_project_name(*project_name)) return all(IngestCode::project_invalid_name);
  const double part = store_.writable_part(*project_name);
  if (part < 1) status.suspended_by = store_.read_only_scope(*project_name);
  if (part <= 0 || (part < 1 && request.create)) return all(IngestCode::ingest_suspended);
  auto* project = store_.project_for_write(*project_name, request.create_missing_project);
  if (project == nullptr) return all(IngestCode::project_not_found);
  if (request.create) return apply_create(*project_name, *project, request, status);
  auto* run = store_.run(*project_name, request.run);
  if (run == nullptr) return all(IngestCode::run_not_found);
  apply_updates(*project_name, *run, request, part, status);
}

void IngestQueue::apply_create(const ProjectName& project_name, Project& project, const IngestRequest& request,
                               Status& status) {
  ingest::v1::Run create;
  create.ParseFromArray(request.create->data(), static_cast<int>(request.create->size()));
  const auto code = create_run(store_, project, request.run.empty() ? create.run_id() : request.run, create);
  ++status.counts[code];
  if (code == IngestCode::run_duplicate) ++store_.totals.duplicate_creates;
  if (code != IngestCode::ok) return;
  project.runs.at(request.run.empty() ? create.run_id() : request.run).bytes += request.create->size();
  store_.add_bytes(project_name, request.create->size());
}

void IngestQueue::apply_updates(const ProjectName& project_name, Run& run, const IngestRequest& request, double part,
                                Status& status) {
  const auto writable = static_cast<std::size_t>(std::floor(part * static_cast<double>(request.snapshots.size())));
  const auto rules_here = rules_for(rules, project_name, request.run);
  SnapshotParser parser;
  std::optional<Datetime> first;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < writable; ++i) {
    const auto* snapshot = parser.parse(request.snapshots[i]);
    if (i == 0 && snapshot->has_timestamp())
      first = Datetime{snapshot->timestamp().seconds(), snapshot->timestamp().nanos()};
    if (apply_snapshot(run, *snapshot, rules_here, status.counts)) bytes += request.snapshots[i].size();
  }
  if (writable < request.snapshots.size())
    status.counts[IngestCode::ingest_suspended] += values_from(request, writable);
  if (const auto duplicates = status.counts.find(IngestCode::series_point_duplicate); duplicates != status.counts.end())
    store_.totals.duplicate_points += static_cast<std::uint64_t>(duplicates->second);
  if (bytes == 0) return;
  run.bytes += bytes;
  store_.add_bytes(project_name, bytes);
  if (!first) return;
  if (run.latest_batch && earlier(*first, *run.latest_batch))
    ++store_.totals.order_violations;
  else
    run.latest_batch = first;
}

}  // namespace neptune::sandbox
