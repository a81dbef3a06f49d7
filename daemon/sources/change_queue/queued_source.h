#pragma once

#include <functional>
#include <memory>

#include "sources/change_queue/queue_thread.h"
#include "sources/source.h"

namespace neptune::sources {

/// One stream of the change queue as a Source.
class QueuedSource final : public Source {
 public:
  /// `emptied` is told on the loop when a settle left nothing.
  QueuedSource(std::shared_ptr<QueueThread> queue, std::int64_t stream, std::function<void()> emptied);

  boost::asio::awaitable<Result<Backlog>> backlog(Position after) override;
  boost::asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> next_batch(
      Position after, BatchLimits limits) override;
  std::unique_ptr<ByteStream> open(const Batch& batch) override;
  boost::asio::awaitable<Result<std::vector<QueuedChange>>> changes(Position first, Position last) override;
  boost::asio::awaitable<Result<bool>> settle(Position upto) override;
  boost::asio::awaitable<void> release() override;

  std::int64_t stream() const { return stream_; }
  /// The stream was forgotten on disk and began anew.
  void begin_anew(std::int64_t stream) { stream_ = stream; }
  void forget_listener() { emptied_ = nullptr; }

 private:
  std::shared_ptr<QueueThread> queue_;
  std::int64_t stream_;
  std::function<void()> emptied_;
};

}  // namespace neptune::sources
