#include "tests/sandbox/zip.h"

#include <zlib.h>

#include <cstdint>

namespace neptune::sandbox {

namespace {

// The format's numbers are little endian.
void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

/// What a file's own header and its entry in the directory have in common.
std::string facts_of(const std::string& name, const std::string& bytes) {
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
  std::string out;
  put(out, 20, 2);      // the version needed: 2.0
  put(out, 0x0800, 2);  // names are UTF-8
  put(out, 0, 2);       // stored
  put(out, 0, 2);       // midnight
  put(out, 0x21, 2);    // of 1 January 1980
  put(out, sum, 4);
  put(out, bytes.size(), 4);
  put(out, bytes.size(), 4);
  put(out, name.size(), 2);
  put(out, 0, 2);  // no extra field
  return out;
}

}  // namespace

std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out, directory;
  for (const auto& [name, bytes] : files) {
    const auto facts = facts_of(name, bytes);
    directory += "PK\x01\x02";
    put(directory, 20, 2);  // made by version 2.0
    directory += facts;
    put(directory, 0, 4);  // no comment, the first disk
    put(directory, 0, 6);  // no attributes
    put(directory, out.size(), 4);
    directory += name;
    out += "PK\x03\x04" + facts + name + bytes;
  }
  const auto directory_at = out.size();
  out += directory + "PK\x05\x06";
  put(out, 0, 4);  // the first disk
  put(out, files.size(), 2);
  put(out, files.size(), 2);
  put(out, directory.size(), 4);
  put(out, directory_at, 4);
  put(out, 0, 2);  // no comment
  return out;
}

}  // namespace neptune::sandbox
