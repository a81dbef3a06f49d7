#include "sources/client_dir/object_scan.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

#include "changes/limits.h"

namespace neptune::sources {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr std::array<std::string_view, 6> words{"true", "false", "null", "NaN", "Infinity", "-Infinity"};

/// Walks over JSON by its grammar; `ended` tells that the text came to its end before the value did.
class Walker {
 public:
  Walker(std::string_view text, std::size_t at) : text_(text), at_(at) {}

  std::size_t at() const { return at_; }
  bool ended() const { return ended_; }
  std::string_view from(std::size_t begin) const { return text_.substr(begin, at_ - begin); }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  /// The next character, past white space; 0 at the end.
  char peek() {
    skip_space();
    if (at_ < text_.size()) return text_[at_];
    ended_ = true;
    return 0;
  }

  bool take(char c) {
    if (peek() != c || ended_) return false;
    ++at_;
    return true;
  }

  bool string() {
    if (!take('"')) return false;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return true;
      }
      if (text_[at_] == '\\' && !escape()) return false;
    }
    ended_ = true;
    return false;
  }

  /// A value of any kind.
  bool value() {
    std::vector<char> open;
    for (;;) {
      const char c = peek();
      if (ended_) return false;
      if (c == '{' || c == '[') {
        if (open.size() == limits::json_depth) return false;
        open.push_back(c);
        ++at_;
        const char close = c == '{' ? '}' : ']';
        if (peek() != close) {
          if (c == '{' && !name()) return false;
          continue;
        }
      } else if (!leaf(c)) {
        return false;
      }
      // After a value, or before the end of an empty one.
      for (;;) {
        if (open.empty()) return true;
        const bool object = open.back() == '{';
        const char next = peek();
        if (ended_) return false;
        if (next == (object ? '}' : ']')) {
          ++at_;
          open.pop_back();
          continue;
        }
        if (next != ',') return false;
        ++at_;
        if (object && !name()) return false;
        break;
      }
    }
  }

  /// A member's name and its colon.
  bool name() { return string() && take(':'); }

 private:
  bool escape() {
    if (at_ + 1 >= text_.size()) {
      ended_ = true;
      return false;
    }
    const char c = text_[++at_];
    if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
    for (int i = 0; i < 4; ++i) {
      if (at_ + 1 >= text_.size()) {
        ended_ = true;
        return false;
      }
      const char digit = text_[++at_];
      if (!is_digit(digit) && !(digit >= 'a' && digit <= 'f') && !(digit >= 'A' && digit <= 'F')) return false;
    }
    return true;
  }

  bool leaf(char c) {
    if (c == '"') return string();
    const auto rest = text_.substr(at_);
    for (const auto word : words) {
      if (rest.starts_with(word)) {
        at_ += word.size();
        return true;
      }
      if (word.starts_with(rest)) return at_end();
    }
    return number();
  }

  bool digits() {
    const auto begin = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ > begin || (at_ == text_.size() && at_end());
  }

  // A number that the text ends with may go on.
  bool number() {
    if (text_[at_] == '-') ++at_;
    if (!digits()) return false;
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digits()) return false;
    }
    return at_ < text_.size() || at_end();
  }

  bool at_end() {
    ended_ = true;
    return false;
  }

  std::string_view text_;
  std::size_t at_;
  bool ended_ = false;
};

bool only_zeros(std::string_view text) {
  return text.find_first_not_of('\0') == std::string_view::npos;
}

template <class T>
bool read_number(std::string_view digits, T& out) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return error == std::errc() && end == digits.data() + digits.size();
}

/// The members of the outermost object; false: a fault, or the end of the text.
bool scan_members(Walker& walker, std::string_view text, ScannedObject& object, bool& has_version) {
  if (!walker.take('{')) return false;
  for (bool first = true;; first = false) {
    if (!first && walker.take('}')) return true;
    if (walker.ended() || (!first && !walker.take(','))) return false;
    walker.skip_space();
    const auto name_at = walker.at();
    if (!walker.string()) return false;
    const auto name = walker.from(name_at);
    if (!walker.take(':')) return false;
    const char begins = walker.peek();
    const auto begin = walker.at();
    if (walker.ended() || !walker.value()) return false;
    const auto value = text.substr(begin, walker.at() - begin);
    if (name == "\"obj\"") {
      if (begins != '{') return false;
      object.obj_begin = begin;
      object.obj_end = walker.at();
    } else if (name == "\"version\"") {
      has_version = read_number(value, object.version) && object.version > 0;
    } else if (name == "\"at\"" && begins != 'n') {
      if (!read_number(value, object.at)) return false;
    }
  }
}

}  // namespace

ScanResult scan_object(std::string_view text, std::size_t from) {
  Walker walker(text, from);
  walker.skip_space();
  ScanResult result;
  if (walker.at() == text.size()) return result;
  result.object.begin = walker.at();
  bool has_version = false;
  const bool whole = scan_members(walker, text, result.object, has_version);
  if (whole && has_version && result.object.obj_end > 0) {
    result.object.end = walker.at();
    result.end = ScanEnd::object;
  } else if (!whole && (walker.ended() || only_zeros(text.substr(result.object.begin)))) {
    // A file system may have made room, and lost what was to fill it.
    result.end = ScanEnd::incomplete;
  } else {
    result.end = ScanEnd::bad;
    result.fault = walker.at();
  }
  return result;
}

std::string strict_json(std::string_view object) {
  std::string out;
  out.reserve(object.size() + 16);
  bool in_string = false;
  for (std::size_t i = 0; i < object.size(); ++i) {
    const char c = object[i];
    if (in_string) {
      if (c == '\\' && i + 1 < object.size()) {
        out += c;
        out += object[++i];
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        out += c;
        in_string = c != '"';
      }
      continue;
    }
    const auto rest = object.substr(i);
    std::string_view bare;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"})
      if (rest.starts_with(word)) bare = word;
    if (!bare.empty()) {
      out += fmt::format("\"{}\"", bare);
      i += bare.size() - 1;
    } else {
      out += c;
      in_string = c == '"';
    }
  }
  return out;
}

}  // namespace neptune::sources
