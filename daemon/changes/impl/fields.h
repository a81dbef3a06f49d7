#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "changes/impl/json.h"
#include "changes/impl/moment.h"
#include "changes/impl/verdict.h"
#include "changes/names.h"

/// Reading the members of an object, strictly: what is wrong goes to the verdict, with the field's path.
namespace neptune::changes {

/// "create" for "creat": the likeliest of `known`; empty when none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);
/// " Did you mean 'x'?", else " Known are x, y, z."
std::string hint(std::string_view word, const std::vector<std::string_view>& known);
/// For messages: quoted, and cut when it is long.
std::string quoted(std::string_view text);

class Fields {
 public:
  /// `path`: how fields of this object are called in refusals: "" for a change's own, "fork." for those of its fork.
  Fields(const Json& object, std::string path, Verdict& verdict)
      : object_(object), path_(std::move(path)), verdict_(verdict) {}

  std::string path(std::string_view name) const { return path_ + std::string(name); }
  Verdict& verdict() { return verdict_; }

  /// Stands for the member "project" where that is absent.
  void default_project(std::string project) {
    project_ = std::move(project);
    may_default_ = true;
  }
  bool may_default() const { return may_default_; }
  const std::string& default_project() const { return project_; }

  /// Refuses every other member; "kind", "idempotency_key" and "discard_pending" are of every change.
  void only(const std::vector<std::string_view>& names);

  const Json* find(std::string_view name) const { return object_.find(name); }
  /// The member; refused when it is absent or of another type. Never null: a harmless value then.
  const Json& require(std::string_view name, Json::Type type);
  /// The member; null when it is absent; refused when it is of another type.
  const Json* optional(std::string_view name, Json::Type type);

  std::string required_text(std::string_view name);
  std::optional<std::string> text(std::string_view name);
  std::optional<bool> flag(std::string_view name);
  std::optional<Step> step(std::string_view name);
  /// RFC 3339, or milliseconds.
  std::optional<Moment> moment(std::string_view name);

 private:
  const Json& object_;
  std::string path_;
  std::string project_;
  bool may_default_ = false;
  Verdict& verdict_;
};

/// A list of strings, not empty; one string stands for a list of one. Repetitions are dropped.
std::vector<std::string> read_texts(const Json& value, const std::string& field, Verdict& verdict);
Step read_step(const Json& value, const std::string& field, Verdict& verdict);
Moment read_moment(const Json& value, const std::string& field, Verdict& verdict);

// Rules of names. Each refuses with a sentence.

ProjectName read_project(Fields& fields);  ///< the member "project", or the default
void check_workspace(const std::string& name, const std::string& field, Verdict& verdict);
/// The rules for a name to be given: 3 to 128 characters, none of / \ # ? % : and none beyond the basic plane.
void check_new_project_name(const std::string& name, const std::string& field, Verdict& verdict);
void check_key(const std::string& key, const std::string& field, Verdict& verdict);
void check_run_id(const std::string& id, const std::string& field, Verdict& verdict);
void check_experiment(const std::string& name, const std::string& field, Verdict& verdict);
/// A model's key, or its short id ("LAB-FOREST").
void check_model_id(const std::string& id, const std::string& field, Verdict& verdict);
/// A version's short id ("LAB-FOREST-3"), or its model's key and number ("FOREST-3").
void check_model_version_id(const std::string& id, const std::string& field, Verdict& verdict);
/// Not empty, at most `bytes` long, no control characters. `what`: "The user's name".
void check_name(const std::string& name, std::string_view what, std::size_t bytes, const std::string& field,
                Verdict& verdict);
/// Of somebody; it becomes a part of a URL's path.
void check_user(const std::string& name, const std::string& field, Verdict& verdict);
void check_string(std::string_view text, const std::string& field, Verdict& verdict);
/// Of what may be there already, made by others.
void check_field_path(const std::string& path, const std::string& field, Verdict& verdict);
/// Of what is written: no part of it is empty either.
void check_new_field_path(const std::string& path, const std::string& field, Verdict& verdict);

}  // namespace neptune::changes
