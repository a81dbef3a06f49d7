#pragma once

#include <fmt/format.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <utility>

#include "server/uploads.h"

namespace neptune::engine {

namespace detail {

inline server::UploadOutcome unexpected_end(const std::exception& e) {
  server::UploadOutcome how;
  how.kind = server::UploadOutcome::Kind::later;
  how.code = "internal_error";
  how.message = fmt::format("an unexpected error: {}", e.what());
  return how;
}

}  // namespace detail

/// An upload ends in every case, as with `outcome`: an exception becomes `later`. A cancellation passes.
inline boost::asio::awaitable<server::UploadOutcome> upload_outcome(
    boost::asio::awaitable<server::UploadOutcome> upload) {
  server::UploadOutcome how;
  try {
    how = co_await std::move(upload);
  } catch (const boost::system::system_error& e) {
    if (e.code() == boost::asio::error::operation_aborted) throw;
    how = detail::unexpected_end(e);
  } catch (const std::exception& e) {
    how = detail::unexpected_end(e);
  }
  co_return how;
}

}  // namespace neptune::engine
