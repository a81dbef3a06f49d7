#include "client/cli/attributes.h"

#include "client/cli/hand_in.h"

namespace neptune::cli {

void Attributes::add_to(Verb& verb) {
  verb.several("NAME=VALUE", values, "Values that are set; with --step, points of series");
  verb.optional("--step NUMBER", step, "The points' step");
  verb.several("--assign NAME=VALUE", assign, "A value that is set, --step or not");
  verb.several("--append NAME=VALUE", append, "A point of a series; the server counts the steps");
  verb.several("--insert NAME=WORD", insert, "Put a word into a set of strings, such as sys/tags");
  verb.several("--remove NAME=WORD", remove, "Take a word out of a set of strings");
  verb.several("--delete NAME", erase, "Delete a value, a series or a set");
  verb.several("--clear NAME=KIND", clear,
               "Empty it, and keep it; it is a float_series, string_series, image_series or string_set");
}

void Attributes::put_into(ChangeText& change) const {
  const auto at = step_json(step);
  if (at && values.empty()) wrong_usage("--step", "It is for NAME=VALUE; give at least one.");
  std::vector<std::string> assigned = assign;
  if (!at) assigned.insert(assigned.end(), values.begin(), values.end());
  if (at && !append.empty())
    wrong_usage("--append", "It has no step; give its points as NAME=VALUE, or leave --step out.");
  if (!assigned.empty()) change.json("assign", or_wrong_usage("", assignments_json(assigned)));
  if (at) change.json("append", or_wrong_usage("", points_json(values, at)));
  if (!append.empty()) change.json("append", or_wrong_usage("--append", points_json(append)));
  if (!insert.empty()) change.json("insert", or_wrong_usage("--insert", sets_json(insert)));
  if (!remove.empty()) change.json("remove", or_wrong_usage("--remove", sets_json(remove)));
  if (!erase.empty()) change.texts("delete", erase);
  if (!clear.empty()) change.json("clear", or_wrong_usage("--clear", words_json(clear)));
}

}  // namespace neptune::cli
