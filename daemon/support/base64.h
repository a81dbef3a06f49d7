#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace neptune {

enum class Base64 { standard, url };

/// Strict: the alphabet's characters only. `standard` wants its padding, `url` has none (as in a JWT).
std::optional<std::string> decode_base64(std::string_view text, Base64 kind);
std::string encode_base64(std::string_view bytes);

}  // namespace neptune
