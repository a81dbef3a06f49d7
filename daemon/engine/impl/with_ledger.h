#pragma once

#include <type_traits>

#include "engine/engine.h"

namespace neptune::engine {

/// Runs `f` on the ledger's thread, in the order of the calls. When the disk is full it is tried once more with the
/// reserve given back.
template <class F>
auto Engine::with_ledger(F f) -> awaitable<std::invoke_result_t<F&, Ledger&>> {
  auto work = [this, f]() mutable {
    auto result = f(*ledger_);
    if (!result && result.error().code == "sqlite_full" && state_dir_.release_reserve()) result = f(*ledger_);
    return result;
  };
  auto result = co_await ledger_thread_.run(std::move(work));
  if (!result && result.error().code == "sqlite_full") disk_full_ = true;
  co_return result;
}

}  // namespace neptune::engine
