#pragma once

#include <memory>
#include <utility>

#include "sources/change_queue/queue_store.h"
#include "support/worker_pool.h"

namespace neptune::sources {

/// The store and the one thread that may touch it. Shared by whoever has a call out.
struct QueueThread {
  explicit QueueThread(std::unique_ptr<QueueStore> queue_store) : store(std::move(queue_store)) {}
  std::unique_ptr<QueueStore> store;
  WorkerPool thread{1};  // joined before the store goes
};

}  // namespace neptune::sources
