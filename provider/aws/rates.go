package aws

import "github.com/nicferry/nicferry/provider"

// The actions of EC2 that are called here.
const (
	apiDescribeInterfaces = "DescribeNetworkInterfaces"
	apiDescribeInstances  = "DescribeInstances"
	apiDescribeTypes      = "DescribeInstanceTypes"
	apiDescribeSubnets    = "DescribeSubnets"
	apiDescribeAddresses  = "DescribeAddresses"
	apiCreateInterface    = "CreateNetworkInterface"
	apiAttachInterface    = "AttachNetworkInterface"
	apiDetachInterface    = "DetachNetworkInterface"
	apiDeleteInterface    = "DeleteNetworkInterface"
	apiModifyInterface    = "ModifyNetworkInterfaceAttribute"
	apiCreateTags         = "CreateTags"
	apiAssign4            = "AssignPrivateIpAddresses"
	apiUnassign4          = "UnassignPrivateIpAddresses"
	apiAssign6            = "AssignIpv6Addresses"
	apiUnassign6          = "UnassignIpv6Addresses"
	apiAllocateAddress    = "AllocateAddress"
	apiAssociateAddress   = "AssociateAddress"
	apiDisassociate       = "DisassociateAddress"
	apiReleaseAddress     = "ReleaseAddress"
)

// maxFilter is how many values a filter takes.
const maxFilter = 200

// The buckets of one account in one region, by class. AWS documents the first by
// example; the others are general knowledge of the same page, not confirmed: this
// is the place to put them right. What is wrong here is learnt from being
// throttled.
var (
	filteredRead = provider.Rate{Burst: 100, PerSecond: 20}
	mutating     = provider.Rate{Burst: 50, PerSecond: 5}
	named        = provider.Rate{Burst: 100, PerSecond: 5}
	tagging      = provider.Rate{Burst: 100, PerSecond: 10}
)

// rateOf is how often an action may be called by an account that AWS has granted no
// more.
func rateOf(api string) provider.Rate {
	switch api {
	case apiDescribeInterfaces, apiDescribeInstances, apiDescribeTypes, apiDescribeSubnets, apiDescribeAddresses:
		return filteredRead
	case apiCreateInterface, apiDeleteInterface, apiAssign4, apiUnassign4, apiAssign6, apiUnassign6:
		return named
	case apiCreateTags:
		return tagging
	}
	return mutating
}

// reads says whether an action changes nothing.
func reads(api string) bool { return rateOf(api) == filteredRead }
