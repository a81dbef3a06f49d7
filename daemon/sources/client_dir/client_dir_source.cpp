#include "sources/client_dir/client_dir_source.h"

#include <algorithm>
#include <utility>

#include "changes/client_operation.h"
#include "changes/limits.h"

namespace neptune::sources {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t look_bytes = 32u << 20;  // read in one piece of work

WallTime wall_time(double seconds) {
  return from_unix_ms(static_cast<std::int64_t>(seconds * 1000));
}

}  // namespace

asio::awaitable<Result<Backlog>> ClientDirSource::backlog(Position after) {
  for (;;) {
    auto work = [log = log_, after] { return log->look(after, look_bytes); };
    auto state = co_await pool_.run(std::move(work));
    if (!state) co_return std::unexpected(std::move(state.error()));
    if (state->more) continue;
    Backlog backlog;
    backlog.count = state->count;
    backlog.bytes = state->bytes;
    backlog.last = state->last;
    backlog.unwritten = static_cast<std::uint64_t>(std::max<Position>(0, state->put - state->last));
    if (state->count > 0) {
      backlog.next = OperationKind::call;
      if (state->oldest_at > 0) backlog.oldest_at = wall_time(state->oldest_at);
    }
    co_return backlog;
  }
}

asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> ClientDirSource::next_batch(
    Position after, BatchLimits limits) {
  using Next = std::variant<std::monostate, Batch, Oversized>;
  auto work = [log = log_, after, limits]() -> Result<Next> {
    const auto state = log->look(after, look_bytes);
    if (!state) return std::unexpected(state.error());
    if (state->count == 0) return Next{};
    const auto first = std::max(after, state->acked) + 1;
    // What has to be a call of its own is a batch of its own, so that everything goes in order.
    const auto alone = [](const LoggedOperation& operation) { return may_go_alone(operation.json); };
    const auto most = std::min<std::uint64_t>(limits.operations, limits::attribute_operations);
    const auto operations = log->read(first, state->last, most, limits.bytes, alone);
    if (!operations) return std::unexpected(operations.error());
    Batch batch;
    batch.kind = OperationKind::call;
    batch.first = first;
    batch.last = operations->back().version;
    batch.count = operations->size();
    for (const auto& operation : *operations) batch.payload_bytes += operation.json.size();
    return Next{batch};
  };
  co_return co_await pool_.run(std::move(work));
}

std::unique_ptr<ByteStream> ClientDirSource::open(const Batch&) {
  return std::make_unique<NoBytes>();
}

asio::awaitable<Result<std::vector<QueuedChange>>> ClientDirSource::changes(Position first, Position last) {
  auto work = [log = log_, first, last]() -> Result<std::vector<QueuedChange>> {
    auto operations = log->read(first, last, static_cast<std::uint64_t>(last - first + 1), ClientLog::longest_object);
    if (!operations) return std::unexpected(std::move(operations.error()));
    const auto origin = log->origin();
    if (!origin) return std::unexpected(origin.error());
    std::vector<QueuedChange> changes;
    for (auto& operation : *operations) {
      QueuedChange change;
      change.position = operation.version;
      change.kind = ChangeKind::client_operation;
      change.at = wall_time(operation.at);
      change.uid = origin->uid;
      change.payload = std::move(operation.json);
      change.directory = origin->directory.string();
      changes.push_back(std::move(change));
    }
    return changes;
  };
  co_return co_await pool_.run(std::move(work));
}

asio::awaitable<Result<bool>> ClientDirSource::settle(Position upto) {
  if (read_only_) co_return false;
  auto work = [log = log_, upto] { return log->acknowledge(upto); };
  auto done = co_await pool_.run(std::move(work));
  if (!done && done.error().code == "disk_full") co_return false;
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return true;
}

asio::awaitable<void> ClientDirSource::release() {
  auto work = [log = log_] { log->release(); };
  co_await pool_.run(std::move(work));
}

}  // namespace neptune::sources
