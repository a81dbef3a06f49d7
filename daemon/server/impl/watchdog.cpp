#include "server/impl/watchdog.h"

#include <utility>

namespace neptune::server {

using Steady = std::chrono::steady_clock;

struct Watchdog::State {
  boost::asio::steady_timer timer;
  std::chrono::milliseconds limit;
  std::function<void()> bite;  // empty once called off
  Steady::time_point moved = Steady::now();
  bool paused = false;
  bool bitten = false;
};

Watchdog::Watchdog(boost::asio::any_io_executor executor, std::chrono::milliseconds limit, std::function<void()> bite)
    : state_(std::make_shared<State>(boost::asio::steady_timer(executor), limit, std::move(bite))) {
  watch(state_);
}

Watchdog::~Watchdog() {
  state_->bite = nullptr;
  state_->timer.cancel();
}

void Watchdog::progress() {
  state_->moved = Steady::now();
}

void Watchdog::pause() {
  state_->paused = true;
}

void Watchdog::resume() {
  state_->paused = false;
  progress();
}

bool Watchdog::has_bitten() const {
  return state_->bitten;
}

// One timer that looks at the time of the last move when it fires is cheaper than one set anew at every move.
void Watchdog::watch(std::shared_ptr<State> state) {
  state->timer.expires_at(state->paused ? Steady::now() + state->limit : state->moved + state->limit);
  auto& timer = state->timer;
  timer.async_wait([state = std::move(state)](const boost::system::error_code& error) mutable {
    if (error || !state->bite) return;
    if (state->paused || Steady::now() < state->moved + state->limit) return watch(std::move(state));
    state->bitten = true;
    state->bite();
  });
}

}  // namespace neptune::server
