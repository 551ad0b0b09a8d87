package ecs

import (
	"context"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/query"
)

// An action is one call of one of the services.
type action struct {
	version string
	// decode cuts what it understands off the tree.
	decode func(*query.Tree) (request any, fault *query.Fault)
	run    func(context.Context, *cloudsim.Cloud, cloudsim.Call, any) (answer, error)
}

func act[R any](version string, run func(context.Context, *cloudsim.Cloud, cloudsim.Call, *R) (answer, error)) action {
	return action{
		version: version,
		decode: func(t *query.Tree) (any, *query.Fault) {
			r := new(R)
			return r, query.Decode(t, r)
		},
		run: func(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r any) (answer, error) {
			return run(ctx, c, call, r.(*R))
		},
	}
}

// actions is what the face knows.
func actions() map[string]action {
	return map[string]action{
		"CreateNetworkInterface":            act(ecsVersion, runCreate),
		"DescribeNetworkInterfaces":         act(ecsVersion, runDescribe),
		"DescribeNetworkInterfaceAttribute": act(ecsVersion, runAttribute),
		"AttachNetworkInterface":            act(ecsVersion, runAttach),
		"DetachNetworkInterface":            act(ecsVersion, runDetach),
		"DeleteNetworkInterface":            act(ecsVersion, runDelete),
		"ModifyNetworkInterfaceAttribute":   act(ecsVersion, runModify),
		"AssignPrivateIpAddresses":          act(ecsVersion, runAssign),
		"UnassignPrivateIpAddresses":        act(ecsVersion, runUnassign),
		"AssignIpv6Addresses":               act(ecsVersion, runAssignIPv6),
		"UnassignIpv6Addresses":             act(ecsVersion, runUnassignIPv6),
		"TagResources":                      act(ecsVersion, runTag),
		"UntagResources":                    act(ecsVersion, runUntag),
		"ListTagResources":                  act(ecsVersion, runListTags),
		"DescribeInstances":                 act(ecsVersion, runInstances),
		"DescribeInstanceTypes":             act(ecsVersion, runTypes),
		"DescribeSecurityGroups":            act(ecsVersion, runGroups),
		"DescribeVpcs":                      act(vpcVersion, runVPCs),
		"DescribeVSwitches":                 act(vpcVersion, runVSwitches),
		"AllocateEipAddress":                act(vpcVersion, runAllocate),
		"AssociateEipAddress":               act(vpcVersion, runAssociate),
		"UnassociateEipAddress":             act(vpcVersion, runUnassociate),
		"ReleaseEipAddress":                 act(vpcVersion, runRelease),
		"DescribeEipAddresses":              act(vpcVersion, runAddresses),
		"CreateHaVip":                       act(vpcVersion, runCreateHaVip),
		"DeleteHaVip":                       act(vpcVersion, runDeleteHaVip),
		"AssociateHaVip":                    act(vpcVersion, runAssociateHaVip),
		"UnassociateHaVip":                  act(vpcVersion, runUnassociateHaVip),
		"DescribeHaVips":                    act(vpcVersion, runHaVips),
	}
}

// Version is the one of the service that has the action; false is none.
func Version(action string) (string, bool) {
	a, known := actions()[action]
	return a.version, known
}
