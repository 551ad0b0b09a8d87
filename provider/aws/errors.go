package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// A rule says what a code of EC2 means. Which calls say it, and what is done then,
// is in testdata/errors.tsv.
type rule struct {
	code string
	says string // is part of the message; empty is any
	api  string // empty is any
	kind error
	// scope is how far it reaches.
	scope provider.Scope
	// why is what package eni goes by beside these; may be nil.
	why error
}

// rules are looked through from the top.
func rules() []rule {
	const value = "InvalidParameterValue"
	return []rule{
		{code: "InvalidNetworkInterfaceID.NotFound", kind: provider.ErrNotFound, scope: provider.ScopeNIC},
		{code: "InvalidNetworkInterfaceId.Malformed", kind: provider.ErrInvalid, scope: provider.ScopeNIC},
		{code: "InvalidAttachmentID.NotFound", kind: provider.ErrNotFound, scope: provider.ScopeNIC},
		{code: value, says: "is currently in use", kind: provider.ErrBusy, scope: provider.ScopeNIC},
		{code: value, says: "already has an interface attached at device index", kind: provider.ErrBusy, scope: provider.ScopeNode, why: eni.ErrIndexUsed},
		{code: "InvalidNetworkInterface.InUse", kind: provider.ErrBusy, scope: provider.ScopeNIC, why: eni.ErrPluggedIn},
		{code: value, says: "move is not allowed", kind: provider.ErrElsewhere, scope: provider.ScopeAddress},
		{code: value, says: "secondary-addresses", kind: provider.ErrInvalid, scope: provider.ScopeAddress},
		{code: value, says: "are not assigned to interface", kind: provider.ErrNotFound, scope: provider.ScopeAddress},
		{code: value, says: "primary IP address", kind: provider.ErrInvalid, scope: provider.ScopeAddress},
		{code: value, says: "subnet's address range", kind: provider.ErrInvalid, scope: provider.ScopeAddress},
		{code: value, says: "subnet's reserved address range", kind: provider.ErrInvalid, scope: provider.ScopeAddress},
		{code: value, says: "belong to different networks", kind: provider.ErrInvalid, scope: provider.ScopeAccount},
		{code: value, kind: provider.ErrInvalid, scope: provider.ScopeNIC},
		{code: "InvalidIPAddress.InUse", api: apiReleaseAddress, kind: provider.ErrBusy, scope: provider.ScopeAddress},
		{code: "InvalidIPAddress.InUse", kind: provider.ErrInvalid, scope: provider.ScopeAddress, why: eni.ErrAddressUsed},
		{code: "IdempotentParameterMismatch", kind: provider.ErrBusy, scope: provider.ScopeNIC, why: eni.ErrTokenUsed},
		{code: "InvalidSubnetID.NotFound", kind: provider.ErrInvalid, scope: provider.ScopeSubnet},
		{code: "InvalidGroup.NotFound", kind: provider.ErrInvalid, scope: provider.ScopeAccount},
		{code: "InvalidSecurityGroupID.NotFound", kind: provider.ErrInvalid, scope: provider.ScopeAccount},
		{code: "InvalidInstanceID.NotFound", kind: provider.ErrInvalid, scope: provider.ScopeNode},
		{code: "InvalidInstanceID.Malformed", kind: provider.ErrInvalid, scope: provider.ScopeNode},
		{code: "InvalidParameterCombination", kind: provider.ErrInvalid, scope: provider.ScopeNIC},
		{code: "AttachmentLimitExceeded", kind: provider.ErrExhausted, scope: provider.ScopeNode},
		{code: "NetworkInterfaceLimitExceeded", kind: provider.ErrExhausted, scope: provider.ScopeAccount},
		{code: "AddressLimitExceeded", kind: provider.ErrExhausted, scope: provider.ScopeAccount},
		{code: "SecurityGroupsPerInterfaceLimitExceeded", kind: provider.ErrExhausted, scope: provider.ScopeAccount},
		{code: "PrivateIpAddressLimitExceeded", kind: provider.ErrExhausted, scope: provider.ScopeNIC},
		{code: "InsufficientFreeAddressesInSubnet", kind: provider.ErrExhausted, scope: provider.ScopeSubnet},
		{code: "InsufficientCidrBlocks", kind: provider.ErrExhausted, scope: provider.ScopeSubnet},
		{code: "IncorrectState", kind: provider.ErrBusy, scope: provider.ScopeNIC},
		{code: "IncorrectInstanceState", kind: provider.ErrBusy, scope: provider.ScopeNode},
		{code: "ResourceNotReady", kind: provider.ErrBusy, scope: provider.ScopeNIC},
		{code: "OperationNotPermitted", kind: provider.ErrDenied, scope: provider.ScopeNIC},
		{code: "AuthFailure", says: "do not have permission", kind: provider.ErrDenied, scope: provider.ScopeNIC},
		{code: "AuthFailure", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "UnauthorizedOperation", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "RequestExpired", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "ExpiredToken", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "InvalidClientTokenId", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "SignatureDoesNotMatch", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "IncompleteSignature", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "MissingAuthenticationToken", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "OptInRequired", kind: provider.ErrDenied, scope: provider.ScopeAccount},
		{code: "ConcurrentTagAccess", kind: provider.ErrBusy, scope: provider.ScopeNIC},
		{code: "TagLimitExceeded", kind: provider.ErrInvalid, scope: provider.ScopeNIC},
		{code: "UnsupportedOperation", kind: provider.ErrUnsupported, scope: provider.ScopeAccount},
		{code: "Resource.AlreadyAssociated", kind: provider.ErrElsewhere, scope: provider.ScopeAddress},
		{code: "InvalidAssociationID.NotFound", kind: provider.ErrNotFound, scope: provider.ScopeAddress},
		{code: "InvalidAllocationID.NotFound", kind: provider.ErrNotFound, scope: provider.ScopeAddress},
		{code: "InternalError", kind: provider.ErrUnknown, scope: provider.ScopeAccount},
		{code: "InternalFailure", kind: provider.ErrUnknown, scope: provider.ScopeAccount},
		{code: "Unavailable", kind: provider.ErrUnknown, scope: provider.ScopeAccount},
		{code: "ServiceUnavailable", kind: provider.ErrUnknown, scope: provider.ScopeAccount},
		{code: "RequestTimeout", kind: provider.ErrUnknown, scope: provider.ScopeAccount},
		{code: "UnknownError", kind: provider.ErrUnknown, scope: provider.ScopeAccount}, // the SDK's, of a body that says none
	}
}

// throttles says whether a code means too many calls. Some answers prefix it.
func throttles(code string) bool {
	code = bare(code)
	return code == "RequestLimitExceeded" || strings.Contains(code, "Throttl") || code == "TooManyRequestsException" || code == "SlowDown"
}

func bare(code string) string {
	return strings.TrimPrefix(strings.TrimPrefix(code, "Client."), "Server.")
}

// A said is what EC2 said in refusing a call.
type said struct {
	code, message string
	why           error // as in rule
}

// Error reads "IncorrectState: The instance is stopping".
func (s said) Error() string { return s.code + ": " + s.message }

// Unwrap has package eni see what it goes by.
func (s said) Unwrap() error { return s.why }

// saying returns what EC2 said, or nothing.
func saying(err error) said {
	s, _ := errors.AsType[said](err)
	return s
}

// classify makes any error of the SDK one of the contract. What is no answer of
// EC2 may have taken place.
func (c *cloud) classify(ctx context.Context, api string, err error) *provider.Error {
	e := &provider.Error{Kind: provider.ErrUnknown, Scope: provider.ScopeAccount}
	if re, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		e.RequestID = c.words.Strike(re.ServiceRequestID())
	}
	if ctx.Err() != nil {
		e.Err = fmt.Errorf("%s: %w", api, ctx.Err())
		return e
	}
	ae, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		e.Err = fmt.Errorf("%s: %s", api, c.words.Strike(err.Error()))
		return e
	}
	s := said{code: c.words.Strike(bare(ae.ErrorCode())), message: c.words.Strike(ae.ErrorMessage())}
	r := meaning(api, s, statusOf(err))
	e.Kind, e.Scope, s.why = r.kind, r.scope, r.why
	e.Err = fmt.Errorf("%s: %w", api, s)
	if do := advice(api, s); do != "" {
		e.Err = fmt.Errorf("%w (%s)", e.Err, do)
	}
	return e
}

// advice is what a person can do about an answer that does not say so by itself.
func advice(api string, s said) string {
	switch s.code {
	case "UnauthorizedOperation":
		return "the controller's IAM policy must allow ec2:" + api + " here"
	case "RequestExpired", "ExpiredToken":
		return "the controller's credentials have expired, or its clock is wrong"
	case "AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch":
		if !strings.Contains(s.message, "do not have permission") {
			return "are the controller's credentials and its clock right, and is the region one that the account has?"
		}
	case "NetworkInterfaceLimitExceeded":
		return "the account's quota of network interfaces in the region is used up: delete some, or have it raised"
	}
	return ""
}

func statusOf(err error) int {
	if re, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return re.HTTPStatusCode()
	}
	return 0
}

// meaning is what an answer to that action means.
func meaning(api string, s said, status int) rule {
	if throttles(s.code) {
		return rule{kind: provider.ErrThrottled, scope: provider.ScopeAccount}
	}
	for _, r := range rules() {
		if r.code == s.code && (r.api == "" || r.api == api) && strings.Contains(s.message, r.says) {
			return r
		}
	}
	switch {
	case status >= 500:
		return rule{kind: provider.ErrUnknown, scope: provider.ScopeAccount}
	case strings.HasSuffix(s.code, "LimitExceeded"):
		return rule{kind: provider.ErrExhausted, scope: provider.ScopeAccount}
	}
	return rule{kind: provider.ErrInvalid, scope: provider.ScopeNIC} // refused, so nothing was done
}
