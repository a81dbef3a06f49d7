#pragma once

#include <boost/json.hpp>
#include <map>
#include <string>

#include "tests/integration/support/sandbox.h"

namespace neptune::sandbox {

/// The first place where the value is not what the schema says, as "entries/0/name: it is missing"; empty: nowhere.
/// A member that the schema does not name is such a place, too. `definitions`: what its references mean.
std::string not_as_described(const boost::json::value& schema, const boost::json::object& definitions,
                             const boost::json::value& value);

/// A client that knows the API by its description of itself only, as that of 1.x does.
class DescribedClient {
 public:
  using Given = boost::json::object;  ///< parameter → value; null: not given

  explicit DescribedClient(const testing::Sandbox& sandbox);

  /// A call; a failed test unless the answer is a 200 with what the description says of it.
  boost::json::value call(const std::string& operation, const Given& given = {}) const;
  /// A call, whatever comes of it. A failed test where the description does not take what is given, or wants more.
  testing::HttpAnswer send(const std::string& operation, const Given& given = {}) const;
  /// Bytes up or down: 1.x takes only the path from the description, and puts the query there by itself.
  testing::HttpAnswer by_hand(const std::string& operation, const Given& query, const std::string& body = {},
                              std::map<std::string, std::string> headers = {}) const;

 private:
  struct Operation {
    std::string method, path;
    boost::json::object description;
  };
  const Operation& operation(const std::string& id) const;

  const testing::Sandbox& sandbox_;
  boost::json::object definitions_;
  std::map<std::string, Operation> operations_;
};

}  // namespace neptune::sandbox
