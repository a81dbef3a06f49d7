#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string_view>

#include "changes/management.h"
#include "server/impl/api.h"
#include "server/impl/json_call.h"

namespace neptune::server {

// One a kind of management change: what `Server::manage` does with it.
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ProjectCreate change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ProjectUpdate change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ProjectDelete change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, StorageLimit change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, Membership change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, Invitation change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, RunsChange change, Missing missing);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, TrashEmpty change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ModelCreate change);
boost::asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ModelVersionCreate change);

/// A call of which only its success matters.
boost::asio::awaitable<Answer<ManageReply>> carry_out(std::shared_ptr<Api> api, JsonCall call);

/// "priv", "workspace", "pub"; "viewer", "member", "manager": the server's words.
std::string_view word(Visibility visibility);
std::string_view word(Role role);

}  // namespace neptune::server
