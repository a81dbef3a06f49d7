#include "client/cli/attributes.h"

#include "client/cli/hand_in.h"

namespace neptune::cli {

void Attributes::add_to(Verb& verb) {
  verb.several("NAME=VALUE", values, "Assigned; with --step, points of series");
  verb.optional("--step", step, "The points' step");
  verb.several("--assign", assign, "NAME=VALUE: assigned, --step or not");
  verb.several("--append", append, "NAME=VALUE: a point of a series; the server counts the steps");
  verb.several("--insert", insert, "NAME=WORD: put into a set of strings, such as sys/tags");
  verb.several("--remove", remove, "NAME=WORD: taken out of a set of strings");
  verb.several("--delete", erase, "NAME: deleted");
  verb.several("--clear", clear, "NAME=KIND: emptied; float_series, string_series, image_series or string_set");
}

void Attributes::put_into(ChangeText& change) const {
  const auto at = step_json(step);
  if (at && values.empty()) wrong_usage("--step", "It is for NAME=VALUE; give at least one.");
  std::vector<std::string> assigned = assign;
  if (!at) assigned.insert(assigned.end(), values.begin(), values.end());
  if (at && !append.empty())
    wrong_usage("--append", "It has no step; give its points as NAME=VALUE, or leave --step out.");
  if (!assigned.empty()) change.json("assign", or_wrong_usage("NAME=VALUE", assignments_json(assigned)));
  if (at) change.json("append", or_wrong_usage("NAME=VALUE", assignments_json(values, at)));
  if (!append.empty()) change.json("append", or_wrong_usage("--append", assignments_json(append)));
  if (!insert.empty()) change.json("insert", or_wrong_usage("--insert", sets_json(insert)));
  if (!remove.empty()) change.json("remove", or_wrong_usage("--remove", sets_json(remove)));
  if (!erase.empty()) change.texts("delete", erase);
  if (!clear.empty()) change.json("clear", or_wrong_usage("--clear", words_json(clear)));
}

}  // namespace neptune::cli
