package iam

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// An Account is who is known in a cloud and what they may: a cloudsim.Policy. A
// caller who is not known may nothing. It may be used concurrently.
type Account struct {
	// Region and ID are the cloud's; required.
	Region, ID string

	mu    sync.Mutex
	users map[string]user // by access key
}

type user struct {
	arn      string
	policies []Document
}

// Attach gives a caller these policies and no others; name is a user's or a
// role's as errors tell it, such as user/nicferryd.
func (a *Account) Attach(accessKey, name string, policies ...Document) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == nil {
		a.users = map[string]user{}
	}
	a.users[accessKey] = user{"arn:aws:iam::" + a.ID + ":" + name, policies}
}

// Allow is nil if the call is allowed on each of the resources. The error is a
// *Refusal.
func (a *Account) Allow(call cloudsim.Call, on []cloudsim.Resource) error {
	a.mu.Lock()
	u, known := a.users[call.Caller]
	a.mu.Unlock()
	if !known {
		return &Refusal{}
	}
	action := "ec2:" + call.API
	if len(on) == 0 && !Mentions(u.policies, action) { // what is not there is told of only to those who might act on it
		return &Refusal{u.arn, action, "*", false}
	}
	for _, r := range on {
		request := Request{Action: action, Resource: a.arn(r), Keys: a.keys(call, r)}
		if d := Decide(u.policies, request); !d.Allowed {
			return &Refusal{u.arn, action, request.Resource, d.Denied}
		}
	}
	return nil
}

// A Refusal is why a call is not allowed.
type Refusal struct {
	// User is the caller's ARN; empty if nobody knows the caller.
	User, Action, Resource string
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

// arn is a resource's; what is to be made has no id yet.
func (a *Account) arn(r cloudsim.Resource) string {
	if r.Type == "*" {
		return "*"
	}
	id := r.ID
	if id == "" {
		id = "*"
	}
	return "arn:aws:ec2:" + a.Region + ":" + a.ID + ":" + r.Type + "/" + id
}

// keys are what conditions can ask of a call on one resource.
func (a *Account) keys(call cloudsim.Call, r cloudsim.Resource) map[string][]string {
	keys := map[string][]string{"aws:RequestedRegion": {a.Region}, "ec2:Region": {a.Region}}
	for key, value := range r.Tags {
		keys["aws:ResourceTag/"+key] = []string{value}
		keys["ec2:ResourceTag/"+key] = []string{value}
	}
	for key, value := range r.Wanted {
		keys["aws:RequestTag/"+key] = []string{value}
	}
	if len(r.Wanted) > 0 {
		keys["aws:TagKeys"] = slices.Sorted(maps.Keys(r.Wanted))
	}
	if r.VPC != "" {
		keys["ec2:Vpc"] = []string{a.arn(cloudsim.Resource{Type: "vpc", ID: r.VPC})}
	}
	if r.Subnet != "" {
		keys["ec2:Subnet"] = []string{a.arn(cloudsim.Resource{Type: "subnet", ID: r.Subnet})}
	}
	if r.Zone != "" {
		keys["ec2:AvailabilityZone"] = []string{r.Zone}
	}
	if r.Type == "instance" && r.ID != "" {
		keys["ec2:InstanceID"] = []string{r.ID}
	}
	if call.Creating != "" {
		keys["ec2:CreateAction"] = []string{call.Creating}
	}
	return keys
}
