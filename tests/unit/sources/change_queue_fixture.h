#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "sources/change_queue/change_queue.h"
#include "tests/integration/support/temp_dir.h"
#include "tests/unit/sources/fixture.h"

namespace neptune::sources {

inline const ProjectName queue_project{"ml-team", "classification"};

inline ContainerName run_named(const std::string& id) {
  return {queue_project, id, ContainerKind::run};
}
inline ContainerName management_lane() {
  return {queue_project, {}, ContainerKind::management};
}
inline ContainerName model_named(const std::string& id) {
  return {queue_project, id, ContainerKind::model};
}

inline Change change_of(ChangeKind kind, const ContainerName& container, std::string payload = "{}") {
  Change change;
  change.kind = kind;
  change.container = container;
  change.payload = std::move(payload);
  return change;
}
inline Change update_of(const std::string& run, std::string payload = "point") {
  return change_of(ChangeKind::run_update, run_named(run), std::move(payload));
}

inline Change create_of(const std::string& run) {
  auto create = change_of(ChangeKind::run_create, run_named(run));
  create.creates = true;
  create.after = {{queue_project, {}, ContainerKind::removals}};
  return create;
}
inline Change keyed(Change change, std::string key) {
  change.idempotency_key = std::move(key);
  return change;
}

using Ids = std::vector<std::int64_t>;

/// A change queue in a folder of its own, a loop, and a listener that remembers.
class ChangeQueueTest : public ::testing::Test {
 protected:
  ChangeQueueTest() {
    options.file = dir / "changes.sqlite3";
    options.min_free_disk = 0;
  }
  ~ChangeQueueTest() override { close(); }

  void open();
  void close();
  void reopen() {
    close();
    open();
  }
  /// Of a queue that must not open.
  Error refusal();

  Result<Ids> accept(std::vector<Change> changes, std::uint32_t uid = 1000);
  /// As many requests at once as there are; their outcomes in the same order.
  std::vector<Result<Ids>> accept_at_once(std::vector<std::vector<Change>> requests);

  std::shared_ptr<Source> source(const ContainerName& container);
  Backlog backlog(const ContainerName& container, Position after = 0);
  Batch batch(const ContainerName& container, Position after = 0, BatchLimits limits = {1000, 1u << 20});
  /// First and last of each batch, until nothing waits.
  std::vector<std::pair<Position, Position>> batches(const ContainerName& container,
                                                     BatchLimits limits = {1000, 1u << 20});
  bool settle(const ContainerName& container, Position upto);
  Ids waiting(const ContainerName& container);

  testing::TempDir dir;
  Loop loop;
  Listener listener;
  ChangeQueueOptions options;
  std::unique_ptr<ChangeQueue> queue;
};

}  // namespace neptune::sources
