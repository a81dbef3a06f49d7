#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "changes/attributes.h"
#include "changes/client_operation.h"
#include "server/impl/api.h"

namespace neptune::server {

boost::asio::awaitable<Answer<std::vector<OperationError>>> execute(std::shared_ptr<Api> api, Addressed container,
                                                                    std::vector<AttributeOperation> operations);
boost::asio::awaitable<Answer<std::optional<double>>> last_step(std::shared_ptr<Api> api, Addressed container,
                                                                std::string path, bool text);
boost::asio::awaitable<Answer<std::vector<StoredPoint>>> points(std::shared_ptr<Api> api, Addressed container,
                                                                std::string path, bool text, StepRange range);
boost::asio::awaitable<Answer<bool>> has_attribute(std::shared_ptr<Api> api, Addressed container, std::string path);
boost::asio::awaitable<Answer<std::int64_t>> point_count(std::shared_ptr<Api> api, Addressed container,
                                                         std::string path, SeriesKind kind);
/// None: there is no such attribute.
boost::asio::awaitable<Answer<std::optional<std::string>>> string_value(std::shared_ptr<Api> api, Addressed container,
                                                                        std::string path);
boost::asio::awaitable<Answer<std::optional<std::string>>> attribute(std::shared_ptr<Api> api, Addressed container,
                                                                     std::string path, ClientCopy::Type type);

boost::asio::awaitable<Answer<ManageReply>> create_run(std::shared_ptr<Api> api, ContainerName run,
                                                       std::string experiment);

/// What the server refused of a request. The answer names no operation: its errors come in no promised order and say
/// the path somewhere in their words. An operation is told only where nothing else can be meant.
std::vector<OperationError> blame(const std::vector<AttributeOperation>& operations,
                                  std::vector<OperationError> errors);

}  // namespace neptune::server
