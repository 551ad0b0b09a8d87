package aliyun

import (
	"strings"

	"github.com/nicferry/nicferry/provider"
)

// The actions of ECS that are called here.
const (
	apiDescribeInterfaces = "DescribeNetworkInterfaces"
	apiDescribeInstances  = "DescribeInstances"
	apiDescribeTypes      = "DescribeInstanceTypes"
	apiDescribeGroups     = "DescribeSecurityGroups"
	apiListTags           = "ListTagResources"
	apiCreateInterface    = "CreateNetworkInterface"
	apiAttachInterface    = "AttachNetworkInterface"
	apiDetachInterface    = "DetachNetworkInterface"
	apiDeleteInterface    = "DeleteNetworkInterface"
	apiModifyInterface    = "ModifyNetworkInterfaceAttribute"
	apiTag                = "TagResources"
	apiAssign4            = "AssignPrivateIpAddresses"
	apiUnassign4          = "UnassignPrivateIpAddresses"
	apiAssign6            = "AssignIpv6Addresses"
	apiUnassign6          = "UnassignIpv6Addresses"
)

// Those of VPC, which is another service at another address.
const (
	apiDescribeVSwitches = "DescribeVSwitches"
	apiDescribeAddresses = "DescribeEipAddresses"
	apiAllocateAddress   = "AllocateEipAddress"
	apiAssociateAddress  = "AssociateEipAddress"
	apiUnassociate       = "UnassociateEipAddress"
	apiReleaseAddress    = "ReleaseEipAddress"
	apiDescribeHaVips    = "DescribeHaVips"
	apiAssociateHaVip    = "AssociateHaVip"
	apiUnassociateHaVip  = "UnassociateHaVip"
)

// ofVPC says whether an action is one of VPC.
func ofVPC(api string) bool {
	switch api {
	case apiDescribeVSwitches, apiDescribeAddresses, apiAllocateAddress, apiAssociateAddress, apiUnassociate, apiReleaseAddress,
		apiDescribeHaVips, apiAssociateHaVip, apiUnassociateHaVip:
		return true
	}
	return false
}

// permission is what RAM calls being allowed an action.
func permission(api string) string {
	if ofVPC(api) {
		return "vpc:" + api
	}
	return "ecs:" + api
}

// How many things a call names at most, and how many a page holds.
const (
	maxIDs      = 100
	maxTypes    = 10
	maxPage     = 500
	maxNumbered = 50 // of pages that go by number
	// maxTagged is how many interfaces a look by tags shows at most, and usualTags how many
	// resources a page of tags holds.
	maxTagged = 1000
	usualTags = 50
)

// The words of parameters.
const (
	resourceENI   = "eni"
	kindInterface = "NetworkInterface"
	typeMember    = "Member"
	typeTrunk     = "Trunk"
)

// perMinute is the rate of an action that may be called so often in each minute of an
// account in a region.
func perMinute(n int) provider.Rate { return provider.Rate{Burst: n / 4, PerSecond: float64(n) / 60} }

// rateOf is how often an action may be called by an account that the vendor has granted
// no more. It publishes the number of CreateNetworkInterface alone, which was 1500; the
// others are what AliyunContainerService/terway allows itself (pkg/aliyun/client): this
// is the place to put them right. What is wrong here is learnt from being throttled.
func rateOf(api string) provider.Rate {
	switch api {
	case apiCreateInterface:
		return perMinute(1500)
	case apiDescribeInterfaces:
		return perMinute(800)
	case apiDetachInterface, apiAssign4, apiUnassign4, apiAssign6, apiUnassign6, apiDescribeTypes:
		return perMinute(400)
	case apiDescribeVSwitches:
		return perMinute(300)
	}
	return perMinute(500)
}

// reads says whether an action changes nothing.
func reads(api string) bool {
	return strings.HasPrefix(api, "Describe") || strings.HasPrefix(api, "List")
}
