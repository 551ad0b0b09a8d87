package ec2

import (
	"context"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/query"
)

// An action is one call of the API.
type action struct {
	// decode cuts what it understands off the tree.
	decode func(*query.Tree) (request any, fault *query.Fault)
	run    func(context.Context, *cloudsim.Cloud, cloudsim.Call, any) (answer, error)
	// ignored are parameters that it takes without heeding them, by the first
	// part of their names, with the reason.
	ignored map[string]string
	// noDryRun: it knows no DryRun.
	noDryRun bool
}

func act[R any](run func(context.Context, *cloudsim.Cloud, cloudsim.Call, *R) (answer, error)) action {
	return action{
		decode: func(t *query.Tree) (any, *query.Fault) {
			r := new(R)
			return r, query.Decode(t, r)
		},
		run: func(ctx context.Context, c *cloudsim.Cloud, call cloudsim.Call, r any) (answer, error) {
			return run(ctx, c, call, r.(*R))
		},
	}
}

func (a action) ignoring(why map[string]string) action {
	a.ignored = why
	return a
}

func (a action) withoutDryRun() action {
	a.noDryRun = true
	return a
}

// refused is an action that EC2 has, and that is always refused here.
func refused(why reason, args ...any) action {
	return action{
		decode: func(t *query.Tree) (any, *query.Fault) {
			t.Clear()
			return nil, nil
		},
		run: func(context.Context, *cloudsim.Cloud, cloudsim.Call, any) (answer, error) {
			return nil, refuse(why, args...).asError()
		},
	}
}

const (
	noTraffic  = "no traffic runs here that it could shape"
	noOperator = "nothing here is run for somebody else"
	oneOfMany  = "the order of IPv6 addresses is all there is"
	byID       = "public addresses are named by their allocation here"
	noPools    = "all public addresses are of one pool"
	noMachine  = "instances are what has interfaces, and nothing else of machines"
)

// actions is what the face knows.
func actions() map[string]action {
	all := interfaceActions()
	for name, a := range worldActions() {
		all[name] = a
	}
	return all
}

func interfaceActions() map[string]action {
	return map[string]action{
		"CreateNetworkInterface": act(runCreateInterface).ignoring(map[string]string{
			"ConnectionTrackingSpecification": noTraffic, "EnablePrimaryIpv6": oneOfMany, "Operator": noOperator,
			"Ipv6Addresses.N.IsPrimaryIpv6": oneOfMany,
		}),
		"DescribeNetworkInterfaces": act(runDescribeInterfaces).ignoring(map[string]string{
			"IncludeManagedResources": "managed ones are always shown",
		}),
		"AttachNetworkInterface": act(runAttach).ignoring(map[string]string{
			"EnaQueueCount": noTraffic, "EnaSrdSpecification": noTraffic,
		}),
		"DetachNetworkInterface": act(runDetach),
		"DeleteNetworkInterface": act(runDeleteInterface),
		"ModifyNetworkInterfaceAttribute": act(runModifyInterface).ignoring(map[string]string{
			"AssociatePublicIpAddress":        "only public addresses of the account are associated",
			"AssociatedSubnetId":              "an interface has one subnet",
			"Attachment.DefaultEnaQueueCount": noTraffic,
			"Attachment.EnaQueueCount":        noTraffic,
			"ConnectionTrackingSpecification": noTraffic,
			"EnaSrdSpecification":             noTraffic,
			"EnablePrimaryIpv6":               oneOfMany,
		}),
		"DescribeNetworkInterfaceAttribute": act(runInterfaceAttribute),
		"ResetNetworkInterfaceAttribute":    act(runResetInterface),
		"AssignPrivateIpAddresses":          act(runAssign).withoutDryRun(),
		"UnassignPrivateIpAddresses":        act(runUnassign).withoutDryRun(),
		"AssignIpv6Addresses":               act(runAssignIPv6).withoutDryRun(),
		"UnassignIpv6Addresses":             act(runUnassignIPv6).withoutDryRun(),
		"CreateTags":                        act(runCreateTags),
		"DeleteTags":                        act(runDeleteTags),
		"DescribeTags":                      act(runDescribeTags),
		"AllocateAddress": act(runAllocate).ignoring(map[string]string{
			"Address": noPools, "CustomerOwnedIpv4Pool": noPools, "IpamPoolId": noPools,
			"NetworkBorderGroup": noPools, "PublicIpv4Pool": noPools,
		}),
		"AssociateAddress":    act(runAssociate).ignoring(map[string]string{"PublicIp": byID}),
		"DisassociateAddress": act(runDisassociate).ignoring(map[string]string{"PublicIp": byID}),
		"ReleaseAddress": act(runRelease).ignoring(map[string]string{
			"PublicIp": byID, "NetworkBorderGroup": noPools,
		}),
		"DescribeAddresses":                  act(runDescribeAddresses),
		"CreateNetworkInterfacePermission":   refused(notHere, "CreateNetworkInterfacePermission"),
		"AssociateTrunkInterface":            refused(restricted),
		"DisassociateTrunkInterface":         refused(restricted),
		"DescribeTrunkInterfaceAssociations": refused(restricted),
	}
}

func worldActions() map[string]action {
	return map[string]action{
		"DescribeInstances": act(runDescribeInstances).ignoring(map[string]string{
			"IncludeManagedResources": "managed ones are always shown",
		}),
		"DescribeInstanceTypes": act(runDescribeTypes).ignoring(map[string]string{
			"IncludeUnsupportedInRegion": "the one region has all types there are",
		}),
		"DescribeSubnets":        act(runDescribeSubnets),
		"DescribeSecurityGroups": act(runDescribeGroups),
		"DescribeVpcs":           act(runDescribeVPCs),
		"DescribeAvailabilityZones": act(runDescribeZones).ignoring(map[string]string{
			"AllAvailabilityZones": "all are opted in",
		}),
		"CreateSubnetCidrReservation": refused(notHere, "CreateSubnetCidrReservation"),
		"GetSubnetCidrReservations":   refused(notHere, "GetSubnetCidrReservations"),
		"RunInstances":                act(runRunInstances).ignoring(machineParameters()),
		"StartInstances":              act(change((*cloudsim.Cloud).StartInstances)).ignoring(map[string]string{"AdditionalInfo": noMachine}),
		"StopInstances": act(change((*cloudsim.Cloud).StopInstances)).ignoring(map[string]string{
			"Force": noMachine, "Hibernate": noMachine, "SkipOsShutdown": noMachine,
		}),
		"TerminateInstances": act(change((*cloudsim.Cloud).TerminateInstances)).ignoring(map[string]string{
			"Force": noMachine, "SkipOsShutdown": noMachine,
		}),
	}
}
