package ecs

import (
	"errors"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

// A deniedDetail is what an answer tells of a permission that is not there.
type deniedDetail struct {
	Action      string `json:"AuthAction"`
	DisplayName string `json:"AuthPrincipalDisplayName"`
	Owner       string `json:"AuthPrincipalOwnerId"`
	Principal   string `json:"AuthPrincipalType"`
	Why         string `json:"NoPermissionType"`
	Policy      string `json:"PolicyType"`
}

// deniedBy is the detail of a refusal; nil if RAM is not why.
func deniedBy(err error) *deniedDetail {
	why, ok := errors.AsType[*iam.Refusal](err)
	if !ok {
		return nil
	}
	detail := &deniedDetail{
		Action: why.Action, DisplayName: strings.TrimPrefix(why.Name, "user/"), Owner: why.Account, Principal: "SubUser",
		Why: "ImplicitDeny", Policy: "AccountLevelIdentityBasedPolicy",
	}
	if why.Role {
		detail.Principal = "AssumedRoleUser"
	}
	if why.Denied {
		detail.Why = "ExplicitDeny"
	}
	return detail
}
