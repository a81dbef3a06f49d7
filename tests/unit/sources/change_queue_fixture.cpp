#include "tests/unit/sources/change_queue_fixture.h"

#include "support/sqlite.h"

namespace neptune::sources {

void ChangeQueueTest::open() {
  auto opened = ChangeQueue::open(loop.context.get_executor(), loop.clock, options, listener);
  ASSERT_TRUE(opened) << opened.error().message;
  queue = std::move(*opened);
  queue->announce();
}

void ChangeQueueTest::close() {
  if (!queue) return;
  loop.await(queue->stop());
  listener.logs.clear();
  queue.reset();
}

Error ChangeQueueTest::refusal() {
  auto opened = ChangeQueue::open(loop.context.get_executor(), loop.clock, options, listener);
  if (!opened) return opened.error();
  ADD_FAILURE() << "the queue opened";
  return {};
}

namespace {

Result<Ids> ids_of(Result<ChangeQueue::Taken> taken) {
  if (!taken) return std::unexpected(std::move(taken.error()));
  return std::move(taken->ids);
}

}  // namespace

Result<Ids> ChangeQueueTest::accept(std::vector<Change> changes, std::uint32_t uid) {
  Submitter by{uid, "jo"};
  return ids_of(loop.await(queue->accept(std::move(changes), std::move(by))));
}

std::vector<Result<Ids>> ChangeQueueTest::accept_at_once(std::vector<std::vector<Change>> requests) {
  std::vector<Result<Ids>> outcomes(requests.size());
  std::size_t left = requests.size();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Submitter by{1000, "jo"};
    boost::asio::co_spawn(loop.context, queue->accept(std::move(requests[i]), std::move(by)),
                          [&outcomes, &left, i](std::exception_ptr error, Result<ChangeQueue::Taken> outcome) {
                            EXPECT_FALSE(error);
                            outcomes[i] = ids_of(std::move(outcome));
                            --left;
                          });
  }
  EXPECT_TRUE(loop.until([&] { return left == 0; }));
  return outcomes;
}

std::shared_ptr<Source> ChangeQueueTest::source(const ContainerName& container) {
  for (const auto& [path, seen] : listener.logs)
    if (seen.info.container == container) return seen.source;
  return nullptr;
}

Backlog ChangeQueueTest::backlog(const ContainerName& container, Position after) {
  const auto found = source(container);
  if (!found) {
    ADD_FAILURE() << container.label() << " has no source";
    return {};
  }
  auto told = loop.await(found->backlog(after));
  EXPECT_TRUE(told) << told.error().message;
  return told.value_or(Backlog{});
}

Batch ChangeQueueTest::batch(const ContainerName& container, Position after, BatchLimits limits) {
  auto planned = loop.await(source(container)->next_batch(after, limits));
  EXPECT_TRUE(planned) << planned.error().message;
  if (!planned || !std::holds_alternative<Batch>(*planned)) return {};
  return std::get<Batch>(*planned);
}

std::vector<std::pair<Position, Position>> ChangeQueueTest::batches(const ContainerName& container,
                                                                    BatchLimits limits) {
  std::vector<std::pair<Position, Position>> list;
  for (Position after = 0;;) {
    const auto next = batch(container, after, limits);
    if (next.count == 0) return list;
    list.emplace_back(next.first, next.last);
    after = next.last;
  }
}

bool ChangeQueueTest::settle(const ContainerName& container, Position upto) {
  auto settled = loop.await(source(container)->settle(upto));
  EXPECT_TRUE(settled) << settled.error().message;
  return settled.value_or(false);
}

Ids ChangeQueueTest::waiting(const ContainerName& container) {
  // As it is in the file, whatever the queue says of it.
  auto db = sqlite::Database::open(options.file, {.access = sqlite::Access::read_only});
  auto rows = db->prepare(
      "SELECT seq FROM changes JOIN streams ON streams.id = stream WHERE workspace = ? AND project = ? AND "
      "streams.kind = ? AND container = ? ORDER BY seq");
  EXPECT_TRUE(rows) << rows.error().message;
  Ids list;
  rows->bind(container.project.workspace, container.project.project, container.kind, container.id);
  for (;;) {
    const auto row = rows->step();
    EXPECT_TRUE(row) << row.error().message;
    if (!row || !*row) return list;
    list.push_back(rows->number(0));
  }
}

}  // namespace neptune::sources
