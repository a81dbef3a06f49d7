#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace neptune::testing {

/// What the sandbox's state says there; null: nothing.
const boost::json::value* look(const boost::json::value& state, std::initializer_list<std::string_view> path);
/// Whether there is this text.
bool text_at(const boost::json::value& state, std::initializer_list<std::string_view> path, std::string_view text);
/// Values of a series, "1 2 3".
std::string values_at(const boost::json::value& state, std::initializer_list<std::string_view> path);

/// Changes of all kinds, about a project of their own (`ml-team/lab-<n>`), a project that is deleted again, one that is
/// made anew after that, and the model `V` of ml-team/base, whose version BASE-V-1 must be there. The workspace must
/// have the members ann and bob and the service accounts ci and tmp.
class AllKinds {
 public:
  struct Change {
    std::string text;  ///< JSON without its braces
    /// By what it is seen in the sandbox's state; empty: a later change undoes it, or it leaves no trace of its own.
    std::function<bool(const boost::json::value&)> seen;
  };

  explicit AllKinds(int number);

  std::vector<Change> changes;  ///< in the order in which they are to be handed in

  /// Empty when all of it is on the server, once.
  std::string misses(const boost::json::value& state) const;

  static constexpr const char* base_version = "ml-team/base/BASE-V-1";
  /// What must be there before, and how the sandbox is to be set.
  static constexpr const char* base = R"([{"kind": "project.create", "project": "ml-team/base", "key": "BASE"},
      {"kind": "model.create", "project": "ml-team/base", "key": "V"},
      {"kind": "model_version.create", "project": "ml-team/base", "model": "V"}])";
  static constexpr const char* control =
      R"({"workspace": "ml-team", "members": ["ann", "bob"], "service_accounts": ["ci", "tmp"]})";

 private:
  using Seen = std::function<bool(const boost::json::value&)>;

  std::string model() const;
  std::string metadata() const;
  void add(const std::string& kind, const std::string& project, const std::string& rest, Seen seen = {});
  void run(const std::string& act, const std::string& project, const std::string& run, Seen seen = {});
  void projects();
  void people();
  void runs();
  void made_anew();
  void models();
  void attributes(const std::string& kind, const std::string& which, const std::string& container);
  std::string misses_of_attributes(const boost::json::value& state, const std::string& container) const;

  int n_;
  std::string project_, passing_, anew_;
};

}  // namespace neptune::testing
