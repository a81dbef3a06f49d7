#include "tests/sandbox/request_reader.h"

#include <cstdint>

namespace neptune::sandbox {

namespace {

/// Walks the fields of one serialized message.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : left_(bytes) {}

  /// Steps to the next field; false at the end and at damage.
  bool next() {
    if (left_.empty() || damaged_) return false;
    std::uint64_t tag = 0;
    if (!varint(tag)) return false;
    number_ = static_cast<std::uint32_t>(tag >> 3);
    wire_type_ = static_cast<unsigned>(tag & 7);
    bytes_ = {};
    if (number_ == 0) return damage();
    switch (wire_type_) {
      case 0:
        return varint(integer_);
      case 1:
        return take(8);
      case 2: {
        std::uint64_t size = 0;
        return varint(size) && take(size);
      }
      case 5:
        return take(4);
      default:
        return damage();
    }
  }

  bool damaged() const { return damaged_; }
  std::uint32_t number() const { return number_; }
  bool is_bytes() const { return wire_type_ == 2; }
  std::string_view bytes() const { return bytes_; }
  std::uint64_t integer() const { return integer_; }

 private:
  bool damage() {
    damaged_ = true;
    return false;
  }
  bool varint(std::uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) return damage();
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      out |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return damage();
  }
  bool take(std::uint64_t size) {
    if (size > left_.size()) return damage();
    bytes_ = left_.substr(0, size);
    left_.remove_prefix(size);
    return true;
  }

  std::string_view left_, bytes_;
  std::uint64_t integer_ = 0;
  std::uint32_t number_ = 0;
  unsigned wire_type_ = 0;
  bool damaged_ = false;
};

std::unexpected<Error> damaged(std::string message) {
  return fail("invalid_request", std::move(message));
}

}  // namespace

Result<IngestRequest> read_request(std::string_view body) {
  IngestRequest out;
  bool any_operation = false;
  Fields fields(body);
  while (fields.next()) {
    if (fields.number() == 3 && !fields.is_bytes()) out.create_missing_project = fields.integer() != 0;
    if (!fields.is_bytes()) continue;
    switch (fields.number()) {
      case 1:
        out.project = fields.bytes();
        break;
      case 2:
        out.run = fields.bytes();
        break;
      case 6:
        out.create = fields.bytes();
        any_operation = true;
        break;
      case 7:
        out.snapshots.push_back(fields.bytes());
        any_operation = true;
        break;
      case 8: {
        any_operation = true;
        Fields batch(fields.bytes());
        while (batch.next())
          if (batch.number() == 1 && batch.is_bytes()) out.snapshots.push_back(batch.bytes());
        if (batch.damaged()) return damaged("the request's batch is damaged");
        break;
      }
      default:
        break;
    }
  }
  if (fields.damaged()) return damaged("the body is not a RunOperation");
  if (out.project.empty()) return damaged("the request names no project");
  if (!any_operation) return damaged("the request holds no operation");
  if (out.create && !out.snapshots.empty()) return damaged("the request holds a create and updates");
  return out;
}

std::string peek_project(std::string_view beginning) {
  Fields fields(beginning);
  if (!fields.next() || fields.number() != 1 || !fields.is_bytes()) return {};
  return std::string(fields.bytes());
}

}  // namespace neptune::sandbox
