#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <vector>

#include "sources/change_queue/change_queue.h"

/// How fast the change queue takes changes, and what it costs to have millions of them wait.
///   change_queue_bench FOLDER [MILLIONS]
/// writes its queue files in FOLDER (110 MB a million) and leaves removing them to the caller; with 0 it looks at what
/// an earlier run left there, so that the memory of filling it does not count.
namespace {

using namespace neptune;
using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

class Listener final : public sources::SourceListener {
 public:
  void source_changed(const sources::SourceInfo& info, std::shared_ptr<sources::Source> source) override {
    sources[info.key.path] = std::move(source);
  }
  void source_written(const sources::SourceKey&) override {}
  void source_vanished(const sources::SourceKey&) override {}
  void first_scan_done() override {}
  std::map<std::string, std::shared_ptr<sources::Source>> sources;
};

template <class T>
T value_of(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

class Bench {
 public:
  explicit Bench(const std::filesystem::path& file) {
    sources::ChangeQueueOptions options;
    options.file = file;
    queue = value_of(sources::ChangeQueue::open(context.get_executor(), clock, options, listener));
    queue->announce();
  }
  ~Bench() {
    boost::asio::co_spawn(context, queue->stop(), boost::asio::detached);
    run();
  }
  void run() {
    context.restart();
    context.run();
  }

  boost::asio::io_context context;
  SystemClock clock;
  Listener listener;
  std::unique_ptr<sources::ChangeQueue> queue;
};

Change point(std::size_t run) {
  Change change;
  change.container = {{"ml-team", "classification"}, fmt::format("run-{}", run), ContainerKind::run};
  change.payload = std::string(60, 'x');
  return change;
}

/// In milliseconds.
std::string percentiles(std::vector<double> times) {
  std::ranges::sort(times);
  const auto at = [&](std::size_t percent) { return times[(times.size() - 1) * percent / 100]; };
  return fmt::format("p50 {:.3f} ms, p99 {:.3f} ms ({} times)", at(50), at(99), times.size());
}

double milliseconds_since(SteadyClock::time_point begin) {
  return Seconds(SteadyClock::now() - begin).count() * 1000;
}

boost::asio::awaitable<void> client(Bench& bench, std::size_t number, SteadyClock::time_point end,
                                    std::vector<double>& times) {
  while (SteadyClock::now() < end) {
    const auto begin = SteadyClock::now();
    std::vector<Change> changes{point(number % 8)};
    Submitter by;
    auto ids = co_await bench.queue->accept(std::move(changes), std::move(by));
    value_of(std::move(ids));
    times.push_back(milliseconds_since(begin));
  }
}

void accept_with(const std::filesystem::path& file, std::size_t clients) {
  Bench bench(file);
  std::vector<double> times;
  const auto length = std::chrono::seconds(5);
  const auto end = SteadyClock::now() + length;
  for (std::size_t i = 0; i < clients; ++i)
    boost::asio::co_spawn(bench.context, client(bench, i, end, times), boost::asio::detached);
  bench.run();
  fmt::print("accept, {} clients: {:.0f} a second in {} commits, {}\n", clients,
             static_cast<double>(times.size()) / Seconds(length).count(), bench.queue->totals().commits,
             percentiles(times));
}

void fill(const std::filesystem::path& file, std::size_t millions) {
  const auto begin = SteadyClock::now();
  auto store = value_of(sources::QueueStore::open(file));
  for (std::size_t i = 0; i < millions * 20; ++i) {
    std::vector<sources::Handed> request(1);
    for (std::size_t row = 0; row < 50'000; ++row) request[0].changes.push_back(point(row % 100));
    value_of(store->accept(request, std::chrono::system_clock::now()));
  }
  fmt::print("{} million changes of 60 bytes written in {:.0f} s\n", millions,
             Seconds(SteadyClock::now() - begin).count());
}

boost::asio::awaitable<void> look(Bench& bench, std::vector<double>& backlogs, std::vector<double>& batches) {
  for (std::size_t i = 0; i < 2000; ++i) {
    for (const auto& [path, source] : bench.listener.sources) {
      if (backlogs.size() == 2000) co_return;
      auto begin = SteadyClock::now();
      auto backlog = co_await source->backlog(0);
      value_of(std::move(backlog));
      backlogs.push_back(milliseconds_since(begin));
      begin = SteadyClock::now();
      const sources::BatchLimits limits{1000, 1u << 20};
      auto batch = co_await source->next_batch(0, limits);
      value_of(std::move(batch));
      batches.push_back(milliseconds_since(begin));
    }
  }
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  return 0;
}

void with_many(const std::filesystem::path& file) {
  std::vector<double> starts;
  for (int i = 0; i < 100; ++i) {
    const auto begin = SteadyClock::now();
    Bench bench(file);
    starts.push_back(milliseconds_since(begin));
  }
  fmt::print("start-up: {}\n", percentiles(starts));
  Bench bench(file);
  std::vector<double> backlogs, batches;
  boost::asio::co_spawn(bench.context, look(bench, backlogs, batches), boost::asio::detached);
  bench.run();
  fmt::print("backlog(): {}\nnext_batch() of 1000: {}\nresident: {:.1f} MiB\n", percentiles(backlogs),
             percentiles(batches), static_cast<double>(resident_kib()) / 1024);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  const std::filesystem::path folder = arguments[1];
  for (const std::size_t clients : {1u, 64u}) accept_with(folder / fmt::format("accept-{}.sqlite3", clients), clients);
  fill(folder / "many.sqlite3", count > 2 ? std::stoul(arguments[2]) : 10);
  with_many(folder / "many.sqlite3");
}
