#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "client/cli/picture.h"
#include "client/cli/screen.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"

namespace neptune::cli {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto every = 1000ms;
constexpr std::size_t events_kept = 100;
constexpr std::size_t many_streams = 2000;  // then the list is asked for more rarely
constexpr int rarely = 10;

/// Asks the daemon, and keeps what it told.
class Watcher {
 public:
  explicit Watcher(client::Client client) : client_(std::move(client)) {}

  /// Errors: as `status`.
  Result<void> look() {
    auto status = client_.status();
    if (!status) {
      watched_.trouble = status.error().message;
      events_.reset();
      return std::unexpected(status.error());
    }
    watched_.trouble.clear();
    watched_.status = std::move(status->value);
    const auto& totals = watched_.status.totals;
    watched_.rates.add(totals.synced, std::chrono::duration<double>(Clock::now() - begun_).count());
    if (watched_.streams.size() < many_streams || ++looks_ % rarely == 0)
      if (auto streams = client_.streams({})) watched_.streams = std::move(streams->value.streams);
    if (!events_) follow();
    return {};
  }

  void take_events() {
    auto events = events_ ? events_->next(Clock::now()) : std::vector<client::Reply<api::Event>>();
    if (!events) return events_.reset();
    for (auto& event : *events) remember(std::move(event.value));
  }

  int descriptor() const { return events_ ? events_->descriptor() : -1; }
  const Watched& watched() const { return watched_; }

 private:
  /// What is kept first, then what happens from then on.
  void follow() {
    auto stream = client_.events(last_event_, true);
    if (!stream) return;
    if (!last_event_) {
      if (auto kept = client_.events(std::nullopt, false))
        for (;;) {
          auto events = kept->next(Clock::now() + 2s);
          if (!events || events->empty()) break;
          for (auto& event : *events) remember(std::move(event.value));
        }
    }
    events_.emplace(std::move(*stream));
  }

  void remember(api::Event event) {
    if (last_event_ && event.id <= *last_event_ && event.type != "gap") return;
    last_event_ = event.id;
    watched_.events.push_back(std::move(event));
    if (watched_.events.size() > events_kept) watched_.events.pop_front();
  }

  client::Client client_;
  std::optional<client::EventStream> events_;
  std::optional<std::uint64_t> last_event_;
  Clock::time_point begun_ = Clock::now();
  int looks_ = 0;
  Watched watched_;
};

void watch(Session& session) {
  const char* terminal = std::getenv("TERM");
  if (::isatty(STDOUT_FILENO) == 0 || ::isatty(STDIN_FILENO) == 0 || !terminal || std::string_view(terminal) == "dumb")
    return session.fail_with({"no_terminal",
                              "`watch` needs a terminal to draw on. `neptune-sync status` says it once, `neptune-sync "
                              "events -f` goes on line by line."});
  Watcher watcher(client::Client({session.client().socket(), 2s}));
  if (const auto first = watcher.look(); !first) return session.fail_with(first.error());
  Screen screen;
  auto next_look = Clock::now() + every;
  for (;;) {
    screen.show(picture(watcher.watched(), screen.style(), screen.rows(), std::chrono::system_clock::now()));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_look - Clock::now());
    const auto woken = screen.wait(watcher.descriptor(), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (woken == Screen::Woken::quit) return;
    if (woken == Screen::Woken::other) watcher.take_events();
    if (Clock::now() < next_look) continue;
    // A daemon that went away is shown as such, and asked again.
    static_cast<void>(watcher.look());
    next_look = Clock::now() + every;
  }
}

}  // namespace

void add_watch(Verb& top, Session& session) {
  auto verb = top.add("watch", "The state of things on the whole terminal, as it changes; q ends it");
  verb.action([&session] { watch(session); });
}

}  // namespace neptune::cli
