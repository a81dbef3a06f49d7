#pragma once

#include "changes/file_upload.h"
#include "changes/impl/fields.h"

namespace neptune::changes {

/// What a client says of a file to upload.
FileUpload read_run_upload(Fields& fields);

}  // namespace neptune::changes
