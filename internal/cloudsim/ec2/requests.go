package ec2

import "net/netip"

// The requests, with the parameters' names on the wire: those of the requests
// that the SDK's module brings along as its own recordings.

type tag struct {
	Key   string  `query:"Key"`
	Value *string `query:"Value"`
}

type tagSpec struct {
	ResourceType string `query:"ResourceType,required"`
	Tags         []tag  `query:"Tag"`
}

type filter struct {
	Name   string   `query:"Name,required"`
	Values []string `query:"Value"`
}

type pageAsked struct {
	MaxResults *int   `query:"MaxResults"`
	NextToken  string `query:"NextToken"`
}

type address4 struct {
	Addr    netip.Addr `query:"PrivateIpAddress,required"`
	Primary bool       `query:"Primary"`
}

type prefix4 struct {
	Prefix netip.Prefix `query:"Ipv4Prefix,required"`
}

type address6 struct {
	Addr netip.Addr `query:"Ipv6Address,required"`
}

type prefix6 struct {
	Prefix netip.Prefix `query:"Ipv6Prefix,required"`
}

type createNetworkInterface struct {
	SubnetID       string     `query:"SubnetId,required"`
	ClientToken    string     `query:"ClientToken"`
	Description    string     `query:"Description"`
	Groups         []string   `query:"SecurityGroupId"`
	PrivateIP      netip.Addr `query:"PrivateIpAddress"`
	PrivateIPs     []address4 `query:"PrivateIpAddresses"`
	SecondaryCount int        `query:"SecondaryPrivateIpAddressCount"`
	Prefixes       []prefix4  `query:"Ipv4Prefix"`
	PrefixCount    int        `query:"Ipv4PrefixCount"`
	IPv6s          []address6 `query:"Ipv6Addresses"`
	IPv6Count      *int       `query:"Ipv6AddressCount"`
	IPv6Prefixes   []prefix6  `query:"Ipv6Prefix"`
	IPv6PrefixCnt  int        `query:"Ipv6PrefixCount"`
	Type           string     `query:"InterfaceType"`
	TagSpecs       []tagSpec  `query:"TagSpecification"`
}

type describeNetworkInterfaces struct {
	pageAsked
	IDs     []string `query:"NetworkInterfaceId"`
	Filters []filter `query:"Filter"`
}

type attachNetworkInterface struct {
	DeviceIndex int    `query:"DeviceIndex,required"`
	InstanceID  string `query:"InstanceId,required"`
	InterfaceID string `query:"NetworkInterfaceId,required"`
	Card        *int   `query:"NetworkCardIndex"`
}

type detachNetworkInterface struct {
	AttachmentID string `query:"AttachmentId,required"`
	Force        bool   `query:"Force"`
}

type interfaceNamed struct {
	InterfaceID string `query:"NetworkInterfaceId,required"`
}

type attachmentChange struct {
	ID                  string `query:"AttachmentId"`
	DeleteOnTermination *bool  `query:"DeleteOnTermination"`
}

type modifyNetworkInterfaceAttribute struct {
	interfaceNamed
	Description     *string           `query:"Description.Value"`
	SourceDestCheck *bool             `query:"SourceDestCheck.Value"`
	Groups          []string          `query:"SecurityGroupId"`
	Attachment      *attachmentChange `query:"Attachment"`
}

type describeNetworkInterfaceAttribute struct {
	interfaceNamed
	Attribute string `query:"Attribute"`
}

type resetNetworkInterfaceAttribute struct {
	interfaceNamed
	SourceDestCheck *string `query:"SourceDestCheck"`
}

type assignPrivateIPAddresses struct {
	interfaceNamed
	Addresses         []netip.Addr   `query:"PrivateIpAddress"`
	Count             int            `query:"SecondaryPrivateIpAddressCount"`
	Prefixes          []netip.Prefix `query:"Ipv4Prefix"`
	PrefixCount       int            `query:"Ipv4PrefixCount"`
	AllowReassignment bool           `query:"AllowReassignment"`
}

type unassignPrivateIPAddresses struct {
	interfaceNamed
	Addresses []netip.Addr   `query:"PrivateIpAddress"`
	Prefixes  []netip.Prefix `query:"Ipv4Prefix"`
}

type assignIPv6Addresses struct {
	interfaceNamed
	Addresses   []netip.Addr   `query:"Ipv6Addresses"`
	Count       int            `query:"Ipv6AddressCount"`
	Prefixes    []netip.Prefix `query:"Ipv6Prefix"`
	PrefixCount int            `query:"Ipv6PrefixCount"`
}

type unassignIPv6Addresses struct {
	interfaceNamed
	Addresses []netip.Addr   `query:"Ipv6Addresses"`
	Prefixes  []netip.Prefix `query:"Ipv6Prefix"`
}

type changeTags struct {
	Resources []string `query:"ResourceId,required"`
	Tags      []tag    `query:"Tag"`
}

type describeTags struct {
	pageAsked
	Filters []filter `query:"Filter"`
}

type allocateAddress struct {
	Domain   string    `query:"Domain"`
	TagSpecs []tagSpec `query:"TagSpecification"`
}

type associateAddress struct {
	AllocationID       string     `query:"AllocationId,required"`
	InterfaceID        string     `query:"NetworkInterfaceId"`
	InstanceID         string     `query:"InstanceId"`
	PrivateIP          netip.Addr `query:"PrivateIpAddress"`
	AllowReassociation *bool      `query:"AllowReassociation"`
}

type disassociateAddress struct {
	AssociationID string `query:"AssociationId,required"`
}

type releaseAddress struct {
	AllocationID string `query:"AllocationId,required"`
}

type describeAddresses struct {
	AllocationIDs []string `query:"AllocationId"`
	PublicIPs     []string `query:"PublicIp"`
	Filters       []filter `query:"Filter"`
}

type describeInstanceTypes struct {
	pageAsked
	Types   []string `query:"InstanceType"`
	Filters []filter `query:"Filter"`
}

type describeInstances struct {
	pageAsked
	IDs     []string `query:"InstanceId"`
	Filters []filter `query:"Filter"`
}

type describeSubnets struct {
	pageAsked
	IDs     []string `query:"SubnetId"`
	Filters []filter `query:"Filter"`
}

type describeSecurityGroups struct {
	pageAsked
	IDs     []string `query:"GroupId"`
	Names   []string `query:"GroupName"`
	Filters []filter `query:"Filter"`
}

type describeVPCs struct {
	pageAsked
	IDs     []string `query:"VpcId"`
	Filters []filter `query:"Filter"`
}

type describeAvailabilityZones struct {
	IDs     []string `query:"ZoneId"`
	Names   []string `query:"ZoneName"`
	Filters []filter `query:"Filter"`
}

type runInstances struct {
	Type     string     `query:"InstanceType,required"`
	Min      int        `query:"MinCount,required"`
	Max      int        `query:"MaxCount,required"`
	Image    string     `query:"ImageId"`
	SubnetID string     `query:"SubnetId"`
	Groups   []string   `query:"SecurityGroupId"`
	Token    string     `query:"ClientToken"`
	TagSpecs []tagSpec  `query:"TagSpecification"`
	Plugged  []runPlugs `query:"NetworkInterface"`
}

type runPlugs struct {
	InterfaceID string   `query:"NetworkInterfaceId"`
	DeviceIndex int      `query:"DeviceIndex"`
	SubnetID    string   `query:"SubnetId"`
	Groups      []string `query:"SecurityGroupId"`
}

type instancesNamed struct {
	IDs []string `query:"InstanceId,required"`
}
