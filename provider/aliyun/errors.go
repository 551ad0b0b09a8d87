package aliyun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/eni"
)

// conflictFor is when to come back to what another task of the cloud is at: what clients
// of the vendor wait.
const conflictFor = 3 * time.Second

// errFirstFailed refuses a call with a token whose first call failed: it is of no use any
// more, and another one is.
var errFirstFailed = errors.New("creation token is spent")

// A rule says what a code of ECS or VPC means. Which calls say it, and what is done then,
// is in testdata/errors.tsv.
type rule struct {
	code string
	api  string // empty is any
	kind error
	// scope is how far it reaches.
	scope provider.Scope
	// why is what package eni goes by beside these; may be nil.
	why error
}

// rules are looked through from the top.
func rules() []rule {
	var all []rule
	add := func(kind error, scope provider.Scope, codes ...string) {
		for _, code := range codes {
			all = append(all, rule{code: code, kind: kind, scope: scope})
		}
	}
	all = append(all, special...)
	add(provider.ErrNotFound, provider.ScopeNIC, "InvalidEniId.NotFound", "InvalidResourceId.NotFound", "InvalidParameter.EniNotBelongTrunk")
	add(provider.ErrNotFound, provider.ScopeAddress, "InvalidIp.IpUnassigned", "InvalidAllocationId.NotFound", "InvalidHaVipId.NotFound")
	add(provider.ErrElsewhere, provider.ScopeAddress, "InvalidIp.IpAssigned", "InvalidPrivateIpAddress.Duplicated", "InvalidAssociation.Duplicated")
	add(provider.ErrBusy, provider.ScopeNIC,
		"OperationConflict", "Operation.Conflict", "InvalidOperation.Conflict", "TaskConflict", "LastTokenProcessing", "SystemBusy",
		"InvalidOperation.InvalidEniState", "InvalidOperation.HasMemberEniAttached", "InvalidOperation.InvalidTrunkEniStatus", "InvalidStatus.EniStatusNotSupport")
	add(provider.ErrBusy, provider.ScopeNode, "InvalidOperation.InvalidEcsState", "IncorrectInstanceStatus", "InvalidStatus.EcsStatusNotSupport")
	add(provider.ErrBusy, provider.ScopeSubnet, "IncorrectVSwitchStatus")
	add(provider.ErrBusy, provider.ScopeAddress, "IncorrectEipStatus", "InvalidBindingStatus", "IncorrectHaVipStatus", "InvalidVip.Status", "IncorrectStatus")
	add(provider.ErrExhausted, provider.ScopeSubnet, "InvalidVSwitchId.IpNotEnough", "QuotaExceeded.PrivateIpAddress")
	add(provider.ErrExhausted, provider.ScopeNode, "EniPerInstanceLimitExceeded")
	add(provider.ErrExhausted, provider.ScopeNIC,
		"InvalidOperation.Ipv4CountExceeded", "InvalidOperation.Ipv6CountExceeded", "MaxEniPrivateIpsCountExceeded", "MaxEniIpv6IpsCountExceeded")
	add(provider.ErrExhausted, provider.ScopeAccount, "MaxEniCountExceeded", "SecurityGroupInstanceLimitExceed", "InvalidSecurityGroup.LimitExceeded", "QuotaExceeded.Eip")
	add(provider.ErrInvalid, provider.ScopeAddress, "InvalidIp.IpRepeated", "InvalidIp.Address", "InvalidVSwitchId.IpInvalid")
	add(provider.ErrInvalid, provider.ScopeSubnet, "InvalidVSwitchId.NotFound", "InvalidVSwitch.Ipv6NotTurnOn")
	add(provider.ErrInvalid, provider.ScopeNode, "InvalidEcsId.NotFound", "InvalidInstanceId.NotFound", "InvalidInstanId.NotFound")
	add(provider.ErrInvalid, provider.ScopeAccount, "InvalidSecurityGroupId.NotFound", "InvalidSecurityGroupId.NotVpc", "InvalidResourceGroup.NotFound", "InvalidRegionId.NotFound")
	add(provider.ErrInvalid, provider.ScopeNIC,
		"InvalidOperation.AvailabilityZoneMismatch", "InvalidOperation.VpcMismatch", "InvalidOperation.InvalidEniType", "InvalidOperation.Ipv6NotSupport",
		"InvalidParameter", "InvalidParameter.Conflict", "MissingParameter", "UnsupportedParameter", "Duplicate.TagKey", "InvalidTagKey.Malformed", "NumberExceed.Tags")
	add(provider.ErrUnsupported, provider.ScopeNode, "InvalidOperation.InstanceTypeNotSupportEniTrunking", "InvalidOperation.EniTypeNotSupportTrunking")
	add(provider.ErrDenied, provider.ScopeNIC, "InvalidOperation.DetachPrimaryEniNotAllowed", "InvalidOperation.EniServiceManaged")
	add(provider.ErrDenied, provider.ScopeAccount,
		"Forbidden.RAM", "Forbidden.SubUser", "Forbidden.NotSupportRAM", "NoPermission",
		"SignatureDoesNotMatch", "IncompleteSignature", "InvalidAccessKeyId.NotFound",
		"InvalidTimeStamp.Expired", "InvalidTimeStamp.Format", "InvalidSecurityToken.Malformed", "InvalidSecurityToken.Expired")
	// A nonce is used where a request came twice, of which the first may have been heeded.
	add(provider.ErrUnknown, provider.ScopeAccount, "InternalError", "ServiceUnavailable", "SignatureNonceUsed")
	return all
}

// special are the rules that come first.
var special = []rule{
	{code: "InvalidOperation.InvalidEniState", api: apiAttachInterface, kind: provider.ErrBusy, scope: provider.ScopeNIC, why: eni.ErrPluggedIn},
	// While something else is done to the instance, say those who have seen it.
	{code: "InvalidOperation.InvalidEniType", api: apiAttachInterface, kind: provider.ErrBusy, scope: provider.ScopeNIC},
	{code: "InvalidEcsId.NotFound", api: apiDetachInterface, kind: provider.ErrNotFound, scope: provider.ScopeNIC},
	{code: "InvalidInstanceId.NotFound", api: apiDetachInterface, kind: provider.ErrNotFound, scope: provider.ScopeNIC},
	{code: "InvalidInstanId.NotFound", api: apiAssociateAddress, kind: provider.ErrNotFound, scope: provider.ScopeNIC},
	{code: "InvalidIp.IpAssigned", api: apiCreateInterface, kind: provider.ErrInvalid, scope: provider.ScopeAddress, why: eni.ErrAddressUsed},
	{code: "InvalidPrivateIpAddress.Duplicated", api: apiCreateInterface, kind: provider.ErrInvalid, scope: provider.ScopeAddress, why: eni.ErrAddressUsed},
	{code: "IdempotentParameterMismatch", kind: provider.ErrBusy, scope: provider.ScopeNIC, why: eni.ErrTokenUsed},
	{code: "IdempotentFailed", kind: provider.ErrBusy, scope: provider.ScopeNIC, why: errFirstFailed},
}

// throttles says whether a code means too many calls: Throttling, Throttling.User,
// Rejected.Throttling and others.
func throttles(code string) bool { return strings.Contains(code, "Throttling") }

// lacks says whether a code means that RAM does not permit the call.
func lacks(code string) bool { return code == "NoPermission" || strings.HasPrefix(code, "Forbidden") }

// A said is what the cloud said in refusing a call.
type said struct {
	*acs.Refusal
	why error // as in rule
}

// Unwrap has package eni see what it goes by.
func (s said) Unwrap() error { return s.why }

// saying returns what the cloud said, or nothing.
func saying(err error) said {
	if s, ok := errors.AsType[said](err); ok {
		return s
	}
	return said{Refusal: &acs.Refusal{}}
}

// classify makes any error of a call one of the contract. What is no answer of the cloud
// may have taken place.
func classify(ctx context.Context, api string, err error) *provider.Error {
	e := &provider.Error{Kind: provider.ErrUnknown, Scope: provider.ScopeAccount}
	refusal, refused := errors.AsType[*acs.Refusal](err)
	if refused {
		e.RequestID = refusal.RequestID
	}
	if ctx.Err() != nil {
		e.Err = fmt.Errorf("%s: %w", api, ctx.Err())
		return e
	}
	if !refused {
		e.Err = fmt.Errorf("%s: %w", api, err)
		return e
	}
	r := meaning(api, refusal)
	e.Kind, e.Scope = r.kind, r.scope
	if r.kind == provider.ErrBusy {
		e.RetryAfter = conflictFor
	}
	e.Err = fmt.Errorf("%s: %w", api, said{refusal, r.why})
	if do := advice(api, refusal); do != "" {
		e.Err = fmt.Errorf("%w (%s)", e.Err, do)
	}
	return e
}

// advice is what a person can do about an answer that does not say so by itself.
func advice(api string, r *acs.Refusal) string {
	switch code := r.Code; {
	case lacks(code):
		return "the controller's RAM policy must allow " + permission(api) + " here"
	case strings.HasPrefix(code, "InvalidTimeStamp"), strings.HasPrefix(code, "InvalidSecurityToken"):
		return "the controller's credentials have expired, or its clock is wrong"
	case code == "SignatureDoesNotMatch", strings.HasPrefix(code, "InvalidAccessKeyId"):
		return "are the controller's credentials right?"
	case code == "MaxEniCountExceeded":
		return "the account's quota of network interfaces in the region is used up: delete some, or have it raised"
	case code == "SecurityGroupInstanceLimitExceed":
		return "the security group is full: name another one"
	}
	return ""
}

// meaning is what an answer to that action means.
func meaning(api string, a *acs.Refusal) rule {
	if throttles(a.Code) {
		return rule{kind: provider.ErrThrottled, scope: provider.ScopeAccount}
	}
	for _, r := range rules() {
		if r.code == a.Code && (r.api == "" || r.api == api) {
			return r
		}
	}
	switch {
	case a.Status >= 500:
		return rule{kind: provider.ErrUnknown, scope: provider.ScopeAccount}
	case strings.HasPrefix(a.Code, "Forbidden"):
		return rule{kind: provider.ErrDenied, scope: provider.ScopeAccount}
	case strings.Contains(a.Code, "LimitExceed"), strings.HasPrefix(a.Code, "QuotaExceeded"):
		return rule{kind: provider.ErrExhausted, scope: provider.ScopeAccount}
	}
	return rule{kind: provider.ErrInvalid, scope: provider.ScopeNIC} // refused, so nothing was done
}
