#include "server/rpc/keys_rpc.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/chat/turn_rules.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/convert_access.h"

namespace aibackend::rpc {
namespace {

using access::Limits;
using access::Scope;
using access::Subject;

constexpr int64_t kOverlapSecondsDefault = 24 * 3600;
constexpr int64_t kOverlapSecondsMax = int64_t{30} * 24 * 3600;

// Whose quota is asked for, with the limits that hold for it.
struct QuotaQuestion {
  Subject subject;
  std::string tenant;
  Limits limits;
};

Limits LimitsOf(const Core& core, const Subject& subject) {
  const auto limits = core.keys.LimitsOf(subject);
  return limits ? *limits : Limits();
}

// The caller's own: its key, or where it has none its user or its tenant.
QuotaQuestion OwnQuota(const Core& core, const Call& call) {
  const access::Principal& caller = call.principal();
  QuotaQuestion question;
  question.tenant = caller.tenant;
  if (!caller.key_id.empty()) {
    question.subject = {Subject::Kind::kKey, "", caller.key_id};
    if (caller.limits) question.limits = *caller.limits;
    return question;
  }
  question.subject = {caller.user.empty() ? Subject::Kind::kTenant : Subject::Kind::kUser,
                      caller.tenant, caller.user};
  question.limits = LimitsOf(core, question.subject);
  return question;
}

absl::StatusOr<QuotaQuestion> ToQuestion(const Core& core, const Call& call,
                                         const v1::GetQuotaRequest& request) {
  QuotaQuestion own = OwnQuota(core, call);
  const bool names_none =
      request.key_id().empty() && request.user_id().empty() && request.tenant_id().empty();
  const bool is_own_key = !request.key_id().empty() && request.key_id() == call.principal().key_id;
  if (names_none || is_own_key) {
    return own;
  }
  const std::string tenant = request.tenant_id().empty() ? call.tenant() : request.tenant_id();
  if (request.user_id().size() > chat::kUserBytesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("user_id is longer than ", chat::kUserBytesMax, " bytes"),
                     "user_id");
  }
  const bool is_own_tenant = tenant == call.tenant() && call.May(Scope::kUsage);
  if (!call.May(Scope::kAdmin) && !is_own_tenant) {
    return MakeError(Reason::SCOPE_MISSING, "this key may ask for its own quota only");
  }
  QuotaQuestion question;
  question.tenant = tenant;
  if (request.key_id().empty()) {
    const bool is_tenant = request.user_id().empty();
    question.subject = {is_tenant ? Subject::Kind::kTenant : Subject::Kind::kUser, tenant,
                        request.user_id()};
    question.limits = LimitsOf(core, question.subject);
    return question;
  }
  const auto found = core.keys.Get(request.key_id());
  if (!found.ok() && ReasonOf(found.status()) != Reason::KEY_NOT_FOUND) return found.status();
  // One answer for a key of another tenant and for none.
  if (!found.ok() || (!call.May(Scope::kAdmin) && found->tenant != call.tenant())) {
    return MakeError(Reason::KEY_NOT_FOUND, "there is no key of this id", "key_id");
  }
  const access::KeyInfo& key = *found;
  question.subject = {Subject::Kind::kKey, "", key.id};
  question.tenant = key.tenant;
  question.limits = key.limits.empty() ? LimitsOf(core, question.subject) : key.limits;
  return question;
}

}  // namespace

grpc::ServerUnaryReactor* CreateKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::CreateKeyRequest& request,
                                    v1::CreateKeyResponse* response) {
  return (new BlockingCall(core, context, "CreateKey"))
      ->Record(request.name())
      ->Run([&core, &request, response](Call&) {
        AIB_ASSIGN_OR_RETURN(const access::KeySpec spec, ToKeySpec(request, core.clock.Now()));
        AIB_ASSIGN_OR_RETURN(const access::NewKey key, core.keys.Create(spec));
        Fill(key, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ListKeys(Core& core, grpc::CallbackServerContext& context,
                                   const v1::ListKeysRequest& request,
                                   v1::ListKeysResponse* response) {
  return (new BlockingCall(core, context, "ListKeys"))->Run([&core, &request, response](Call&) {
    AIB_ASSIGN_OR_RETURN(const int page_size, PageSizeOf(request));
    AIB_ASSIGN_OR_RETURN(const access::KeyPage page,
                         core.keys.List(request.tenant_id(), page_size, request.page_token()));
    for (const access::KeyInfo& key : page.keys) Fill(key, response->add_keys());
    response->set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* GetKey(Core& core, grpc::CallbackServerContext& context,
                                 const v1::GetKeyRequest& request, v1::ApiKey* response) {
  return (new BlockingCall(core, context, "GetKey"))->Run([&core, &request, response](Call&) {
    AIB_ASSIGN_OR_RETURN(const access::KeyInfo key, core.keys.Get(request.id()));
    Fill(key, response);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* UpdateKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::UpdateKeyRequest& request, v1::ApiKey* response) {
  return (new BlockingCall(core, context, "UpdateKey"))
      ->Record(request.id())
      ->Run([&core, &request, response](Call&) {
        AIB_ASSIGN_OR_RETURN(const access::KeyChange change, ToKeyChange(request));
        AIB_ASSIGN_OR_RETURN(const access::KeyInfo key, core.keys.Update(request.id(), change));
        Fill(key, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* RotateKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::RotateKeyRequest& request,
                                    v1::CreateKeyResponse* response) {
  return (new BlockingCall(core, context, "RotateKey"))
      ->Record(request.id())
      ->Run([&core, &request, response](Call&) {
        const int64_t overlap =
            request.has_overlap_seconds() ? request.overlap_seconds() : kOverlapSecondsDefault;
        if (overlap < 0 || overlap > kOverlapSecondsMax) {
          return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be from 0 to 2592000 (30 days)",
                           "overlap_seconds");
        }
        AIB_ASSIGN_OR_RETURN(const access::NewKey key,
                             core.keys.Rotate(request.id(), absl::Seconds(overlap)));
        Fill(key, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* RevokeKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::RevokeKeyRequest& request,
                                    v1::RevokeKeyResponse* response) {
  return (new BlockingCall(core, context, "RevokeKey"))
      ->Record(request.id())
      ->Run([&core, &request, response](Call&) {
        AIB_ASSIGN_OR_RETURN(const bool revoked, core.keys.Revoke(request.id()));
        response->set_revoked(revoked);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SetLimits(Core& core, grpc::CallbackServerContext& context,
                                    const v1::SubjectLimits& request, v1::SubjectLimits* response) {
  return (new BlockingCall(core, context, "SetLimits"))
      ->Record(request.tenant_id())
      ->Run([&core, &request, response](Call&) {
        AIB_RETURN_IF_ERROR(core.keys.SetLimits(request.tenant_id(), request.user_id(),
                                                ToLimits(request.limits())));
        *response = request;
        if (request.tenant_id().empty()) response->set_tenant_id("default");
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ListLimits(Core& core, grpc::CallbackServerContext& context,
                                     const v1::ListLimitsRequest& request,
                                     v1::ListLimitsResponse* response) {
  return (new BlockingCall(core, context, "ListLimits"))->Run([&core, &request, response](Call&) {
    AIB_ASSIGN_OR_RETURN(const auto all, core.keys.ListLimits(request.tenant_id()));
    for (const access::SubjectLimits& one : all) {
      v1::SubjectLimits* out = response->add_limits();
      out->set_tenant_id(one.tenant);
      out->set_user_id(one.user);
      Fill(one.limits, out->mutable_limits());
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* GetQuota(Core& core, grpc::CallbackServerContext& context,
                                   const v1::GetQuotaRequest& request, v1::Quota* response) {
  return (new BlockingCall(core, context, "GetQuota"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const QuotaQuestion question, ToQuestion(core, call, request));
        AIB_ASSIGN_OR_RETURN(const access::QuotaState state,
                             core.meter.StateOf(question.subject, question.limits));
        Fill(state, response);
        const Subject& subject = question.subject;
        response->set_tenant_id(question.tenant);
        if (subject.kind == Subject::Kind::kKey) response->set_key_id(subject.id);
        if (subject.kind == Subject::Kind::kUser) response->set_user_id(subject.id);
        return absl::OkStatus();
      });
}

}  // namespace aibackend::rpc
