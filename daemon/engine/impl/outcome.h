#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <utility>

#include "changes/failure.h"
#include "support/error.h"

/// What is asked of a server or a source has an outcome in every case: an exception (no memory, a fault of ours)
/// becomes a failure that is tried again, so that no stream waits for a word that never comes. A cancellation passes.
namespace neptune::engine {

namespace detail {

inline Error error_of(const std::exception& e) {
  return {"internal_error", std::string("an unexpected error: ") + e.what() + "; it is tried again", true};
}

inline void assign(Failure& failure, Error error) {
  failure = {Failure::Kind::source, std::move(error.code), std::move(error.message), std::nullopt, false};
}
inline void assign(Error& out, Error error) {
  out = std::move(error);
}

}  // namespace detail

template <class T, class E>
boost::asio::awaitable<std::expected<T, E>> outcome(boost::asio::awaitable<std::expected<T, E>> call) {
  E failure{};
  try {
    co_return co_await std::move(call);
  } catch (const boost::system::system_error& e) {
    if (e.code() == boost::asio::error::operation_aborted) throw;
    detail::assign(failure, detail::error_of(e));
  } catch (const std::exception& e) {
    detail::assign(failure, detail::error_of(e));
  }
  co_return std::unexpected(std::move(failure));
}

}  // namespace neptune::engine
