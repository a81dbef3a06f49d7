#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/impl/api.h"
#include "server/impl/classify.h"

namespace neptune::server {

using Query = std::vector<std::pair<std::string, std::string>>;

/// A call whose body and answer are JSON. This is the one place where such requests are put together.
struct JsonCall {
  std::string method;
  std::string path;  ///< below the server's base URL; its variable parts encoded with `percent_encode`
  Query query{};     ///< as it is meant: encoded here
  std::string body{};
  Intent intent = Intent::read;
  bool once = false;                        ///< applying it twice does harm: see Failure::in_doubt
  std::size_t max_answer_bytes = 1u << 20;  ///< of the answer's body
};

JsonCall reading(std::string path, Query query = {});
/// `body` empty: none.
JsonCall writing(std::string method, std::string path, Query query = {}, std::string body = {});
std::string text_of(const boost::json::object& body);

/// The answer, whatever its body is. One that writes asks first whether it may (Api::may_begin).
boost::asio::awaitable<Answer<Response>> send(std::shared_ptr<Api> api, JsonCall call);
/// An answer that must be an object, or an array. What is not is a server_error "invalid_answer".
boost::asio::awaitable<Answer<boost::json::object>> ask_object(std::shared_ptr<Api> api, JsonCall call);
boost::asio::awaitable<Answer<boost::json::array>> ask_array(std::shared_ptr<Api> api, JsonCall call);

/// The API itself says that there is no such thing: its 404 names what, by an errorType. One without may be of whatever
/// stands before the server, as while it restarts, and says nothing of the thing.
bool is_missing(const Failure& failure);
/// What was to be made is there already.
bool is_collision(const Failure& failure);

/// A refusal of ours, final.
Failure refusal(std::string code, std::string message);

}  // namespace neptune::server
