#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The objects of a 1.x client's log, `{"obj": {..}, "version": N, "at": s}` one after the other, as the client writes
/// them: as its own reader takes them, with control characters inside of strings and NaN and Infinity as numbers.
namespace neptune::sources {

struct ScannedObject {
  std::size_t begin = 0, end = 0;          ///< in the scanned text; `begin` is its brace
  std::size_t obj_begin = 0, obj_end = 0;  ///< the value of "obj"
  std::int64_t version = 0;
  double at = 0;  ///< seconds since 1970; 0: not said
};

enum class ScanEnd : std::uint8_t {
  object,      ///< one was found
  nothing,     ///< white space to the end
  incomplete,  ///< the text ends within one, so far without a fault
  bad,         ///< no object of a log begins here
};

struct ScanResult {
  ScanEnd end = ScanEnd::nothing;
  ScannedObject object{};
  std::size_t fault = 0;  ///< bad: where it was noticed
};

/// The object that begins at `from`, after white space.
ScanResult scan_object(std::string_view text, std::size_t from);

/// The same object as JSON in the strict sense: control characters in strings are escaped, NaN and Infinity become the
/// strings "NaN", "Infinity" and "-Infinity". `object` must be one that was scanned.
std::string strict_json(std::string_view object);

}  // namespace neptune::sources
