#include "changes/impl/content.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace neptune::changes {

namespace {

/// FNV-1a, 64 bits.
class Hash {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) {
      value_ ^= static_cast<unsigned char>(byte);
      value_ *= 0x100000001b3ull;
    }
  }
  /// With its length, so that what follows is not taken for a part of it.
  void add_text(std::string_view text) {
    add(std::to_string(text.size()));
    add(":");
    add(text);
  }
  std::uint64_t value() const { return value_ == 0 ? 1 : value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ull;
};

void add(Hash& hash, const Json& json);

void add(Hash& hash, std::vector<const JsonMember*> members) {
  std::ranges::sort(members, {}, &JsonMember::name);
  for (const auto* member : members) {
    hash.add_text(member->name);
    add(hash, member->value);
  }
}

void add(Hash& hash, const Json& json) {
  static constexpr std::string_view marks = "0bns[{";
  hash.add(marks.substr(static_cast<std::size_t>(json.type), 1));
  switch (json.type) {
    case Json::Type::null:
      break;
    case Json::Type::boolean:
      hash.add(json.truth ? "1" : "0");
      break;
    case Json::Type::number:
    case Json::Type::string:
      hash.add_text(json.text);
      break;
    case Json::Type::array:
      for (const auto& element : json.members) add(hash, element.value);
      break;
    case Json::Type::object: {
      std::vector<const JsonMember*> members;
      for (const auto& member : json.members) members.push_back(&member);
      add(hash, std::move(members));
      break;
    }
  }
  hash.add("]");
}

}  // namespace

std::uint64_t content_of(const Json& change, std::string_view project) {
  std::vector<const JsonMember*> said;
  for (const auto& member : change.members)
    if (member.name != "idempotency_key" && member.name != "project") said.push_back(&member);
  Hash hash;
  hash.add_text(project);
  add(hash, std::move(said));
  return hash.value();
}

}  // namespace neptune::changes
