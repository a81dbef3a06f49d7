#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <string>
#include <vector>

#include "changes/ingest_code.h"
#include "proto/ingest.pb.h"
#include "proto/ingest_pub.pb.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/sandbox.h"
#include "tests/integration/support/temp_dir.h"

namespace neptune::sandbox {

using ingest::v1::UpdateRunSnapshot;
using Operation = ingest::v1::pub::RunOperation;
using Counts = std::map<IngestCode, std::int64_t>;

/// What a check says of one request.
struct Checked {
  bool pending = false;
  Counts counts;
};

/// A sandbox in a process of its own and a small client of it.
class Served {
 public:
  enum class Keeps : std::uint8_t { nothing, state };
  explicit Served(std::vector<std::string> args = {"--workspace", "ml-team"}, Keeps keeps = Keeps::nothing);

  testing::Sandbox& sandbox() { return sandbox_; }
  const std::filesystem::path& directory() const { return directory_.path(); }
  boost::json::value state(std::string_view query = "") const { return sandbox_.state(query); }
  /// One run of the state, "ml-team/classification/<run>".
  boost::json::value run(const std::string& id, std::string_view query = "") const;
  boost::json::value control(std::string_view settings) const { return sandbox_.control(settings); }

  testing::HttpAnswer get(const std::string& target);
  /// Hands in the bytes of a request.
  testing::HttpAnswer post(const std::string& target, const std::string& body);
  /// A JSON call of the API.
  testing::HttpAnswer call(const std::string& method, const std::string& target, const std::string& body = {});
  /// The same; its answer, which must be a 200.
  boost::json::value done(const std::string& method, const std::string& target, const std::string& body = {});
  /// The same, refused: "<status> <errorType>".
  std::string refusal(const std::string& method, const std::string& target, const std::string& body = {});
  testing::HttpAnswer submit(const Operation& operation);
  Checked check(const std::string& id);
  /// Hands in and waits for the check's word. A failed test when the submit was not accepted.
  Counts ingest(const Operation& operation);

  /// The id of an accepted request.
  static std::string id_of(const testing::HttpAnswer& answer);

 private:
  const std::string& access_token();

  testing::TempDir directory_;
  testing::Sandbox sandbox_;
  std::string access_token_;
};

inline const std::string project = "ml-team/classification";

Operation create(const std::string& run);
Operation fork(const std::string& run, const std::string& parent, std::uint64_t step);
Operation update(const std::string& run, std::vector<UpdateRunSnapshot> snapshots);
/// One point of each path at a whole step.
UpdateRunSnapshot points(std::uint64_t step, const std::map<std::string, double>& values);
UpdateRunSnapshot preview(std::uint64_t step, const std::map<std::string, double>& values);
UpdateRunSnapshot assign(const std::string& path, const ingest::v1::Value& value);
ingest::v1::Value text(const std::string& value);
ingest::v1::Value real(double value);

}  // namespace neptune::sandbox
