// A data file of a 1.x client's directory, which any user may have written.
#include "changes/client_operation.h"
#include "sources/client_dir/object_scan.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using neptune::fuzz::must;
  namespace sources = neptune::sources;
  const auto log = neptune::fuzz::text(data, size);
  std::size_t from = 0;
  for (;;) {
    const auto found = sources::scan_object(log, from);
    if (found.end == sources::ScanEnd::bad) must(found.fault <= log.size(), "the fault is in the text");
    if (found.end != sources::ScanEnd::object) return 0;
    const auto& object = found.object;
    must(object.begin >= from && object.end > object.begin && object.end <= log.size(), "the object is in the text");
    must(object.obj_begin >= object.begin && object.obj_end <= object.end, "its operation is in it");
    const auto json = sources::strict_json(log.substr(object.obj_begin, object.obj_end - object.obj_begin));
    const auto operation = neptune::read_client_operation(json, 0);
    if (!operation) must(!operation.error().message.empty(), "a refusal is a sentence");
    (void)neptune::may_go_alone(json);
    from = object.end;
  }
}
