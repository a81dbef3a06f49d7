#pragma once

#include <optional>
#include <string>
#include <string_view>

/// Small text work that HTTP needs.
namespace neptune::server {

std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Everything but RFC 3986's unreserved characters as %XX.
std::string percent_encode(std::string_view text);
std::optional<std::string> percent_decode(std::string_view text);

/// Safe as a header's value: visible ASCII and spaces.
bool is_header_value(std::string_view text);

/// A foreign text cut for a log line or a message: control characters become spaces, at most `limit` bytes, and never
/// half a UTF-8 character at the end. `text` must be UTF-8.
std::string excerpt(std::string_view text, std::size_t limit = 500);

}  // namespace neptune::server
