#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <string>

#include "sources/change_queue/change_queue.h"

/// Accepts changes into the queue file of its first argument, from several clients at once, and prints each request's
/// ids in a line once `accept` has returned. It goes on until it is killed.
namespace {

using namespace neptune;

class Deaf final : public sources::SourceListener {
 public:
  void source_changed(const sources::SourceInfo&, std::shared_ptr<sources::Source>) override {}
  void source_written(const sources::SourceKey&) override {}
  void source_vanished(const sources::SourceKey&) override {}
  void first_scan_done() override {}
};

boost::asio::awaitable<void> client(sources::ChangeQueue& queue, int number) {
  for (std::size_t round = 0;; ++round) {
    std::vector<Change> changes(1 + round % 4);
    for (auto& change : changes) {
      change.container = {{"ml-team", "classification"}, "run-" + std::to_string(number % 2), ContainerKind::run};
      change.payload = std::string(round % 3000, 'x');
    }
    Submitter by{1000, "jo"};
    const auto taken = co_await queue.accept(std::move(changes), std::move(by));
    if (!taken) std::exit(1);
    std::string line;
    for (const auto id : taken->ids) line += std::to_string(id) + " ";
    std::puts(line.c_str());
    std::fflush(stdout);
  }
}

}  // namespace

int main(int, char** arguments) {
  boost::asio::io_context context;
  const SystemClock clock;
  Deaf listener;
  sources::ChangeQueueOptions options;
  options.file = arguments[1];
  options.min_free_disk = 0;
  auto queue = sources::ChangeQueue::open(context.get_executor(), clock, options, listener);
  if (!queue) {
    std::fputs(queue.error().message.c_str(), stderr);
    return 1;
  }
  for (int i = 0; i < 4; ++i) boost::asio::co_spawn(context, client(**queue, i), boost::asio::detached);
  context.run();
}
