#pragma once

#include <memory>
#include <type_traits>

#include "engine/engine.h"
#include "engine/impl/outcome.h"

namespace neptune::engine {

/// Runs `f` on the ledger's thread, in the order of the calls. When the disk is full it is tried again with what the
/// ledger's own log takes, then with the reserve; the reserve is made again with the first call that finds room for it.
template <class F>
auto Engine::with_ledger(F f) -> awaitable<std::invoke_result_t<F&, Ledger&>> {
  const auto full = std::make_shared<bool>(disk_full_);
  auto work = [this, f, full]() mutable {
    auto result = f(*ledger_);
    const auto finds_no_room = [&result] { return !result && result.error().code == "sqlite_full"; };
    const auto once_more = [this, &f, &result] {
      if (ledger_->give_back_log()) result = f(*ledger_);
    };
    if (finds_no_room()) once_more();
    if (finds_no_room()) {
      reserve_is_out_ = true;
      if (state_dir_.release_reserve()) once_more();
    } else if (reserve_is_out_) {
      reserve_is_out_ = !state_dir_.restore_reserve();
    }
    *full = reserve_is_out_;
    return result;
  };
  auto result = co_await outcome(ledger_thread_.run(std::move(work)));
  note_disk_full(*full);
  co_return result;
}

}  // namespace neptune::engine
