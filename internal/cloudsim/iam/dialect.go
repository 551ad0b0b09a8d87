package iam

import (
	"maps"
	"slices"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A Dialect is what a cloud's policies look like, and what it calls what they are
// about: IAM() or RAM().
type Dialect struct {
	version string
	// prefix and parts are those of ARNs; the last part may have colons in it.
	prefix string
	parts  int
	// names: policies have Ids, and statements Sids.
	names       bool
	notResource bool
	operator    func(name string) (operator, bool)
	// hasKey says whether conditions can ask for a key; nil knows no bounds.
	hasKey func(key string) bool
	// examples, for errors
	anAction, anARN, aKey string

	// action is what a call is called; empty if it needs no permission.
	action func(cloudsim.Call) string
	// about are the resources of a call, as policies see them.
	about func(cloudsim.Call, []cloudsim.Resource) []cloudsim.Resource
	arn   func(*Account, cloudsim.Resource) string
	keys  func(*Account, cloudsim.Call, cloudsim.Resource) map[string][]string
	// who begins the ARN of a user or a role, and assumed that of who has a role.
	who, assumed string
}

// IAM is AWS's dialect, as far as it is about EC2.
func IAM() Dialect {
	return Dialect{
		version: "2012-10-17", prefix: "arn:", parts: arnParts, names: true, notResource: true, operator: iamOperator,
		anAction: "ec2:DescribeSubnets", anARN: "arn:aws:ec2:*:*:network-interface/*", aKey: "aws:RequestTag/team",
		action: func(call cloudsim.Call) string { return "ec2:" + call.API },
		about:  func(_ cloudsim.Call, on []cloudsim.Resource) []cloudsim.Resource { return on },
		arn:    (*Account).iamARN, keys: (*Account).iamKeys,
		who: "arn:aws:iam::", assumed: "arn:aws:sts::",
	}
}

// iamARN is a resource's; what is to be made has no id yet.
func (a *Account) iamARN(r cloudsim.Resource) string {
	if r.Type == "*" {
		return "*"
	}
	return "arn:aws:ec2:" + a.Region + ":" + a.ID + ":" + r.Type + "/" + orAny(r.ID)
}

func orAny(id string) string {
	if id == "" {
		return "*"
	}
	return id
}

// iamKeys are what conditions can ask of a call on one resource.
func (a *Account) iamKeys(call cloudsim.Call, r cloudsim.Resource) map[string][]string {
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
		keys["ec2:Vpc"] = []string{a.iamARN(cloudsim.Resource{Type: "vpc", ID: r.VPC})}
	}
	if r.Subnet != "" {
		keys["ec2:Subnet"] = []string{a.iamARN(cloudsim.Resource{Type: "subnet", ID: r.Subnet})}
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
