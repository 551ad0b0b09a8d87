package ecs

// The answers, with the names of the SDK's types. Lists are wrapped: a set has an
// element of its kind that is the list.

type head struct {
	RequestID string `json:"RequestId"`
}

func (h *head) stamp(id string) { h.RequestID = id }

// An answer is a pointer to a struct with a head.
type answer interface{ stamp(requestID string) }

type numberedPage struct {
	PageNumber int `json:"PageNumber,omitempty"`
	PageSize   int `json:"PageSize,omitempty"`
	TotalCount int `json:"TotalCount"`
}

type idSet struct {
	IDs []string `json:"SecurityGroupId"`
}

type publicIP struct {
	Public     string `json:"PublicIpAddress"`
	Allocation string `json:"AllocationId"`
}

type privateIP struct {
	Addr    string   `json:"PrivateIpAddress"`
	DNS     string   `json:"PrivateDnsName"`
	Primary bool     `json:"Primary"`
	Public  publicIP `json:"AssociatedPublicIp"`
}

type privateIPs struct {
	Set []privateIP `json:"PrivateIpSet"`
}

type ipv6 struct {
	Addr string `json:"Ipv6Address"`
}

type ipv6s struct {
	Set []ipv6 `json:"Ipv6Set"`
}

type prefix4 struct {
	Prefix string `json:"Ipv4Prefix"`
}

type prefix4s struct {
	Set []prefix4 `json:"Ipv4PrefixSet"`
}

type prefix6 struct {
	Prefix string `json:"Ipv6Prefix"`
}

type prefix6s struct {
	Set []prefix6 `json:"Ipv6PrefixSet"`
}

// An interfaceTag is named otherwise than the tags of all else.
type interfaceTag struct {
	Key   string `json:"TagKey"`
	Value string `json:"TagValue"`
}

type interfaceTags struct {
	Tag []interfaceTag `json:"Tag"`
}

type attachment struct {
	Instance string `json:"InstanceId"`
	// Device is set for members alone, whose VLAN it is.
	Device  int       `json:"DeviceIndex"`
	Card    int       `json:"NetworkCardIndex"`
	Trunk   string    `json:"TrunkNetworkInterfaceId"`
	Members memberIDs `json:"MemberNetworkInterfaceIds"`
}

type memberIDs struct {
	IDs []string `json:"MemberNetworkInterfaceId"`
}

// netInterface is an interface as it is made.
type netInterface struct {
	VPC             string        `json:"VpcId"`
	Type            string        `json:"Type"`
	Status          string        `json:"Status"`
	Name            string        `json:"NetworkInterfaceName"`
	MAC             string        `json:"MacAddress"`
	ID              string        `json:"NetworkInterfaceId"`
	Owner           string        `json:"OwnerId"`
	Managed         bool          `json:"ServiceManaged"`
	VSwitch         string        `json:"VSwitchId"`
	Description     string        `json:"Description"`
	Zone            string        `json:"ZoneId"`
	Primary         string        `json:"PrivateIpAddress"`
	SourceDestCheck bool          `json:"SourceDestCheck"`
	Groups          idSet         `json:"SecurityGroupIds"`
	Addrs           privateIPs    `json:"PrivateIpSets"`
	IPv6            ipv6s         `json:"Ipv6Sets"`
	Prefixes        prefix4s      `json:"Ipv4PrefixSets"`
	IPv6Prefixes    prefix6s      `json:"Ipv6PrefixSets"`
	Tags            interfaceTags `json:"Tags"`
}

// seenInterface is an interface as it is listed.
type seenInterface struct {
	netInterface
	Created         string     `json:"CreationTime"`
	TrafficMode     string     `json:"NetworkInterfaceTrafficMode"`
	Instance        string     `json:"InstanceId"`
	DeleteOnRelease bool       `json:"DeleteOnRelease"`
	Public          publicIP   `json:"AssociatedPublicIp"`
	Attachment      attachment `json:"Attachment"`
}

type createAnswer struct {
	head
	netInterface
}

// interfaceAnswer is an interface alone, flat.
type interfaceAnswer struct {
	head
	seenInterface
}

type interfacesAnswer struct {
	head
	numberedPage
	NextToken string        `json:"NextToken"`
	Sets      interfaceSets `json:"NetworkInterfaceSets"`
}

type interfaceSets struct {
	Set []seenInterface `json:"NetworkInterfaceSet"`
}

// done is the answer of what has nothing to say.
type done struct{ head }

type assignedAnswer struct {
	head
	Set assignedSet `json:"AssignedPrivateIpAddressesSet"`
}

type assignedSet struct {
	ID    string `json:"NetworkInterfaceId"`
	Addrs struct {
		List []string `json:"PrivateIpAddress"`
	} `json:"PrivateIpSet"`
	Prefixes struct {
		List []string `json:"Ipv4Prefixes"`
	} `json:"Ipv4PrefixSet"`
}

type assignedIPv6Answer struct {
	head
	ID    string `json:"NetworkInterfaceId"`
	Addrs struct {
		List []string `json:"Ipv6Address"`
	} `json:"Ipv6Sets"`
	Prefixes struct {
		List []string `json:"Ipv6Prefix"`
	} `json:"Ipv6PrefixSets"`
}

type resourceTag struct {
	Type  string `json:"ResourceType"`
	ID    string `json:"ResourceId"`
	Key   string `json:"TagKey"`
	Value string `json:"TagValue"`
}

type tagsAnswer struct {
	head
	NextToken string `json:"NextToken"`
	Tags      struct {
		List []resourceTag `json:"TagResource"`
	} `json:"TagResources"`
}

type instanceItem struct {
	ID         string         `json:"InstanceId"`
	Name       string         `json:"InstanceName"`
	Type       string         `json:"InstanceType"`
	Status     string         `json:"Status"`
	Region     string         `json:"RegionId"`
	Zone       string         `json:"ZoneId"`
	VPC        vpcAttributes  `json:"VpcAttributes"`
	Groups     idSet          `json:"SecurityGroupIds"`
	Created    string         `json:"CreationTime"`
	Interfaces cardsOfMachine `json:"NetworkInterfaces"`
	Tags       interfaceTags  `json:"Tags"`
}

type vpcAttributes struct {
	VPC     string `json:"VpcId"`
	VSwitch string `json:"VSwitchId"`
	Private struct {
		Addrs []string `json:"IpAddress"`
	} `json:"PrivateIpAddress"`
}

type cardsOfMachine struct {
	List []cardOfMachine `json:"NetworkInterface"`
}

type cardOfMachine struct {
	ID      string     `json:"NetworkInterfaceId"`
	MAC     string     `json:"MacAddress"`
	Primary string     `json:"PrimaryIpAddress"`
	Type    string     `json:"Type"`
	Addrs   privateIPs `json:"PrivateIpSets"`
}

type instancesAnswer struct {
	head
	numberedPage
	NextToken string `json:"NextToken"`
	Instances struct {
		List []instanceItem `json:"Instance"`
	} `json:"Instances"`
}

type typeItem struct {
	Name      string `json:"InstanceTypeId"`
	Family    string `json:"InstanceTypeFamily"`
	ENIs      int    `json:"EniQuantity"`
	TotalENIs int    `json:"EniTotalQuantity"`
	Trunk     bool   `json:"EniTrunkSupported"`
	IPv4      int    `json:"EniPrivateIpAddressQuantity"`
	IPv6      int    `json:"EniIpv6AddressQuantity"`
	Cards     int    `json:"NetworkCardQuantity"`
	CardList  struct {
		List []cardItem `json:"NetworkCardInfo"`
	} `json:"NetworkCards"`
}

type cardItem struct {
	Index int `json:"NetworkCardIndex"`
}

type typesAnswer struct {
	head
	NextToken string `json:"NextToken"`
	Types     struct {
		List []typeItem `json:"InstanceType"`
	} `json:"InstanceTypes"`
}

type groupItem struct {
	ID          string `json:"SecurityGroupId"`
	Name        string `json:"SecurityGroupName"`
	Description string `json:"Description"`
	VPC         string `json:"VpcId"`
	Type        string `json:"SecurityGroupType"`
}

type groupsAnswer struct {
	head
	numberedPage
	Region    string `json:"RegionId"`
	NextToken string `json:"NextToken"`
	Groups    struct {
		List []groupItem `json:"SecurityGroup"`
	} `json:"SecurityGroups"`
}

type vpcItem struct {
	ID     string `json:"VpcId"`
	Status string `json:"Status"`
	Region string `json:"RegionId"`
	CIDR   string `json:"CidrBlock"`
	CIDR6  string `json:"Ipv6CidrBlock"`
}

type vpcsAnswer struct {
	head
	numberedPage
	VPCs struct {
		List []vpcItem `json:"Vpc"`
	} `json:"Vpcs"`
}

type vSwitchItem struct {
	ID     string `json:"VSwitchId"`
	VPC    string `json:"VpcId"`
	Zone   string `json:"ZoneId"`
	Status string `json:"Status"`
	CIDR   string `json:"CidrBlock"`
	CIDR6  string `json:"Ipv6CidrBlock"`
	IPv6   bool   `json:"EnabledIpv6"`
	Free   int    `json:"AvailableIpAddressCount"`
}

type vSwitchesAnswer struct {
	head
	numberedPage
	VSwitches struct {
		List []vSwitchItem `json:"VSwitch"`
	} `json:"VSwitches"`
}
