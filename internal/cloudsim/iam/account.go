package iam

import (
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// An Account is who is known in a cloud and what they may: a cloudsim.Policy. A
// caller who is not known may nothing. It may be used concurrently.
type Account struct {
	// Dialect is the cloud's; optional: IAM().
	Dialect Dialect
	// Region and ID are the cloud's; required.
	Region, ID string
	// Assumed says whose role a temporary key stands for; optional.
	Assumed func(accessKey string) (s Session, ok bool)

	mu    sync.Mutex
	users map[string]user // by access key
	roles map[string][]Document
}

// A Session is somebody who has taken a role, such as an instance.
type Session struct{ Role, Name string }

type user struct {
	name     string
	arn      string
	role     bool
	policies []Document
}

func (a *Account) dialect() Dialect {
	if a.Dialect.action == nil {
		return IAM()
	}
	return a.Dialect
}

// Attach gives a caller these policies and no others; name is a user's or a
// role's as errors tell it, such as user/nicferryd.
func (a *Account) Attach(accessKey, name string, policies ...Document) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == nil {
		a.users = map[string]user{}
	}
	a.users[accessKey] = user{name: name, arn: a.dialect().who + a.ID + ":" + name, policies: policies}
}

// AttachRole gives a role these policies and no others, and so each of its sessions.
func (a *Account) AttachRole(role string, policies ...Document) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.roles == nil {
		a.roles = map[string][]Document{}
	}
	a.roles[role] = policies
}

// user finds who has an access key.
func (a *Account) user(accessKey string) (user, bool) {
	var s Session
	assumed := false
	if a.Assumed != nil {
		s, assumed = a.Assumed(accessKey)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if u, ok := a.users[accessKey]; ok || !assumed {
		return u, ok
	}
	return user{
		name: s.Role + ":" + s.Name, arn: a.dialect().assumed + a.ID + ":assumed-role/" + s.Role + "/" + s.Name,
		role: true, policies: a.roles[s.Role],
	}, true
}

// Allow is nil if the call is allowed on each of the resources. The error is a
// *Refusal.
func (a *Account) Allow(call cloudsim.Call, on []cloudsim.Resource) error {
	u, known := a.user(call.Caller)
	if !known {
		return &Refusal{}
	}
	speech := a.dialect()
	action := speech.action(call)
	if action == "" {
		return nil
	}
	refusal := Refusal{User: u.arn, Name: u.name, Account: a.ID, Role: u.role, Action: action}
	if len(on) == 0 && !Mentions(u.policies, action) { // what is not there is told of only to those who might act on it
		refusal.Resource = "*"
		return &refusal
	}
	for _, r := range speech.about(call, on) {
		request := Request{Action: action, Resource: speech.arn(a, r), Keys: speech.keys(a, call, r)}
		if d := Decide(u.policies, request); !d.Allowed {
			refusal.Resource, refusal.Denied = request.Resource, d.Denied
			return &refusal
		}
	}
	return nil
}

// A Refusal is why a call is not allowed.
type Refusal struct {
	// User is the caller's ARN; empty if nobody knows the caller. Name is without
	// what all of the Account have, and Role says that it is a role's session.
	User, Name, Account string
	Role                bool
	Action, Resource    string
	// Denied: a statement denies it; otherwise none allows it.
	Denied bool
}

// Error is in IAM's words, as far as the API passes them on.
func (r *Refusal) Error() string {
	switch {
	case r.User == "":
		return "The caller has no policy."
	case r.Denied:
		return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s with an explicit deny in an identity-based policy", r.User, r.Action, r.Resource)
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", r.User, r.Action, r.Resource, r.Action)
}
