#pragma once

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "server/impl/api.h"
#include "server/source_file.h"
#include "server/uploads.h"

namespace neptune::server {

class Transport;

boost::asio::awaitable<Answer<std::vector<SignedFile>>> sign_uploads(std::shared_ptr<Api> api,
                                                                     std::vector<FileToSign> files);
/// `stores`: a transport of its own, to which nobody gives a token.
boost::asio::awaitable<UploadOutcome> upload_file(std::shared_ptr<Api> api, std::shared_ptr<Transport> stores,
                                                  Upload upload, UploadSettings settings);
boost::asio::awaitable<UploadOutcome> upload_attribute(std::shared_ptr<Api> api, AttributeUpload upload,
                                                       UploadSettings settings);

/// Opens a file on the pool; refuses one that is not what it was.
boost::asio::awaitable<std::expected<std::shared_ptr<OpenFile>, UploadOutcome>> open_source(
    WorkerPool* pool, SourceFile source, std::optional<FileIdentity> expected);

}  // namespace neptune::server
