#include "tests/sandbox/definitions.h"

#include <string_view>

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

/// A name and its members: "name" is a string, "name:integer", "name:date-time", "name:Definition",
/// "name:[Definition]"; "name:number|null" may be null as well. A member without '?' is required.
struct Definition {
  std::string_view name, members;
};

constexpr std::string_view values = "attributeName attributeType ";

constexpr Definition all[] = {
    {"ClientConfig", "apiUrl applicationUrl? pyLibVersions:ClientVersionsConfigDTO security:SecurityDTO"},
    {"ClientVersionsConfigDTO", "minRecommendedVersion? minCompatibleVersion? maxCompatibleVersion?"},
    {"SecurityDTO", "clientId openIdDiscovery"},
    {"NeptuneOauthToken", "accessToken refreshToken username"},
    {"ProjectDTO", "id name projectKey organizationId organizationName version:integer"},
    {"ProjectWithRoleDTO",
     "id name projectKey organizationId organizationName version:integer visibility description? archived:boolean "
     "organizationType userCount:integer userRoleInProject userRoleInOrganization? timeOfCreation lastActivity "
     "codeAccess featured:boolean avatarUrl avatarSource"},
    {"ProjectListDTO", "entries:[ProjectWithRoleDTO] matchingItemCount:integer totalItemCount:integer"},
    {"ProjectStorageLimitTraitDTO", "maxStorageSize:integer"},
    {"RegisteredMemberInfoDTO", "username firstName lastName avatarUrl avatarSource"},
    {"ProjectMemberDTO",
     "role editableRole:boolean canLeaveProject:boolean registeredMemberInfo?:RegisteredMemberInfoDTO "
     "invitationInfo?:OrganizationInvitationDTO"},
    {"ProjectMembersDTO", "projectName projectId organizationName organizationId members:[ProjectMemberDTO]"},
    {"ServiceAccountDTO", "id name displayName isAdmin:boolean organizationId created createdBy deactivated?"},
    {"ServiceAccountWithRoleDTO", "serviceAccountInfo:ServiceAccountDTO role"},
    {"WorkspaceStatusDTO",
     "mode storageBytesLimit:integer storageBytesAvailable:integer activeProjectsUsage:integer "
     "subscription?:SubscriptionStateDTO"},
    {"SubscriptionStateDTO", "status"},
    {"OrganizationDTO",
     "id name organizationType paymentStatus pricingPlan limitsEnforced:boolean "
     "supportsMonitoringHoursLimits:boolean userflowIdentityHash avatarUrl avatarSource created traits:object"},
    {"OrganizationWithRoleDTO",
     "id name userRole organizationType paymentStatus pricingPlan limitsEnforced:boolean avatarUrl avatarSource "
     "created organization:OrganizationDTO"},
    {"OrganizationInvitationDTO",
     "id? organizationName invitee invitationType roleGrant status invitedBy createdAt lastSentAt projects:[]"},
    {"OrganizationInvitationsDTO", "invitations:[OrganizationInvitationDTO]"},
    {"OrganizationMemberDTO",
     "role editableRole:boolean totalNumberOfProjects?:integer numberOfProjects?:integer "
     "registeredMemberInfo?:RegisteredMemberInfoDTO "
     "invitationInfo?:OrganizationInvitationDTO"},
    {"Experiment",
     "id shortId type trashed:boolean projectId projectName organizationId organizationName parentId customId?"},
    {"OperationError", "errorType errorDescription"},
    {"OperationErrorsListDTO", "errors:[OperationError]"},
    {"UploadMetadataDTO", "errors:[OperationError] uploadId?"},
    {"BulkOpErrorDTO", "experimentIdentifier reason message"},
    {"BulkOpResultDTO", "errors:[BulkOpErrorDTO] updatedExperimentIdentifiers:[]"},
    {"FloatAttributeDTO", "value:number|null"},
    {"IntAttributeDTO", "value:integer"},
    {"BoolAttributeDTO", "value:boolean"},
    {"StringAttributeDTO", "value"},
    {"DatetimeAttributeDTO", "value:date-time"},
    {"StringSetAttributeDTO", "values:[]"},
    {"FloatSeriesAttributeConfigDTO", "min?:number max?:number unit?"},
    {"FloatSeriesAttributeDTO",
     "config:FloatSeriesAttributeConfigDTO hasPreview:boolean last?:number|null lastStep?:number min?:number|null "
     "max?:number|null average?:number|null variance?:number|null"},
    {"StringSeriesAttributeDTO", "last? lastStep?:number"},
    {"ImageSeriesAttributeDTO", "channelId lastStep?:number"},
    {"HistogramSeriesAttributeDTO", "lastStep?:number"},
    {"FileRefSeriesAttributeDTO", "lastStep?:number"},
    {"FileAttributeDTO", "name ext size:integer"},
    {"FileSetAttributeDTO", "size:integer"},
    {"FileRefAttributeDTO", "path mimeType sizeBytes:integer"},
    {"AttributeDTO",
     "name type floatProperties?:FloatAttributeDTO intProperties?:IntAttributeDTO boolProperties?:BoolAttributeDTO "
     "stringProperties?:StringAttributeDTO datetimeProperties?:DatetimeAttributeDTO "
     "stringSetProperties?:StringSetAttributeDTO floatSeriesProperties?:FloatSeriesAttributeDTO "
     "stringSeriesProperties?:StringSeriesAttributeDTO imageSeriesProperties?:ImageSeriesAttributeDTO "
     "histogramSeriesProperties?:HistogramSeriesAttributeDTO fileProperties?:FileAttributeDTO "
     "fileSetProperties?:FileSetAttributeDTO fileRefProperties?:FileRefAttributeDTO "
     "fileRefSeriesProperties?:FileRefSeriesAttributeDTO"},
    {"AttributesDTO",
     "attributes:[AttributeDTO] experimentId organizationId organizationName projectId projectName type"},
    {"LeaderboardEntriesSearchResultDTO", "entries:[AttributesDTO] matchingItemCount:integer"},
    {"AttributeDefinitionDTO", "name type"},
    {"AttributesSearchResultDTO", "entries:[AttributeDefinitionDTO]"},
    {"FileEntry", "name fileType size:integer mtime:date-time"},
    {"DownloadPrepareRequest", "id downloadUrl?"},
    {"FloatPointValueDTO",
     "step:number timestampMillis:integer value:number|null isPreview:boolean completionRatio:number"},
    {"FloatSeriesValuesDTO", "totalItemCount:integer values:[FloatPointValueDTO]"},
    {"StringPointValueDTO", "step:number timestampMillis:integer value"},
    {"StringSeriesValuesDTO", "totalItemCount:integer values:[StringPointValueDTO]"},
    {"ImageSeriesValuesDTO", "totalItemCount:integer"},
};

json::object schema_of(std::string_view type) {
  if (type.empty()) return {{"type", "string"}};
  if (type == "date-time") return {{"type", "string"}, {"format", type}};
  // JSON schema has no word for it.
  if (type.ends_with("|null")) return {{"type", type.substr(0, type.find('|'))}, {"x-nullable", true}};
  if (type.front() == '[') return {{"type", "array"}, {"items", schema_of(type.substr(1, type.size() - 2))}};
  if (type.front() >= 'A' && type.front() <= 'Z') return {{"$ref", "#/definitions/" + std::string(type)}};
  return {{"type", type}};
}

json::object object_schema(std::string_view members) {
  json::object properties;
  json::array required;
  while (!members.empty()) {
    const auto end = members.find(' ');
    const auto word = members.substr(0, end);
    members = end == std::string_view::npos ? std::string_view() : members.substr(end + 1);
    if (word.empty()) continue;
    const auto colon = word.find(':');
    auto name = word.substr(0, colon);
    const bool optional = name.ends_with('?');
    if (optional) name.remove_suffix(1);
    properties[name] = schema_of(colon == std::string_view::npos ? std::string_view() : word.substr(colon + 1));
    if (!optional) required.push_back(json::string(name));
  }
  return {{"type", "object"}, {"required", std::move(required)}, {"properties", std::move(properties)}};
}

}  // namespace

json::object definitions() {
  json::object out;
  for (const auto& [name, members] : all) {
    const bool attribute = name != "AttributeDTO" && name.ends_with("AttributeDTO");
    out[name] = object_schema(std::string(attribute ? values : std::string_view()) + std::string(members));
  }
  return out;
}

}  // namespace neptune::sandbox
