#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <string>

#include "config/config.h"
#include "engine/engine.h"
#include "support/clock.h"

namespace neptune::app {

/// What is wrong with a token that was read, with where it is from.
Error in_its_file(const config::Token& token, const Error& error);

/// The server that a token names, of the configuration or of a workspace that has one of its own.
engine::ServerSlot make_server(const boost::asio::any_io_executor& executor, const Clock& clock,
                               const config::Config& config, const std::string& workspace);
/// The same with a token that was read, or could not be.
engine::ServerSlot make_server(const boost::asio::any_io_executor& executor, const Clock& clock,
                               const config::Config& config, const std::string& workspace,
                               const Result<config::Token>& token);

}  // namespace neptune::app
