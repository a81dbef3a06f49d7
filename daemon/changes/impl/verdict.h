#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "changes/change_json.h"

namespace neptune::changes {

/// The beginning of `text`, at most `bytes` of it, not ending within a character.
inline std::string_view cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

/// What the reading of one change comes to. Readers go on after a refusal with harmless values, so that they need not
/// look at each step; the first refusal stands.
class Verdict {
 public:
  bool ok() const { return !refusal_; }

  void refuse(std::string code, std::string message, std::string field, Refusal::Kind kind = Refusal::Kind::invalid) {
    if (refusal_) return;
    field.resize(cut(field, longest_field).size());
    refusal_ = Refusal{kind, std::move(code), std::move(message), std::move(field)};
  }

  const std::optional<Refusal>& refusal() const { return refusal_; }

 private:
  static constexpr std::size_t longest_field = 2048;  ///< a path that is too long is not sent back whole

  std::optional<Refusal> refusal_;
};

}  // namespace neptune::changes
