package ec2

// The answers about what surrounds interfaces.

type stateItem struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type placementItem struct {
	Zone    string `xml:"availabilityZone"`
	Tenancy string `xml:"tenancy"`
}

type instanceItem struct {
	ID         string        `xml:"instanceId"`
	Image      string        `xml:"imageId"`
	State      stateItem     `xml:"instanceState"`
	Type       string        `xml:"instanceType"`
	Launched   string        `xml:"launchTime"`
	Placement  placementItem `xml:"placement"`
	SubnetID   string        `xml:"subnetId,omitempty"`
	VPC        string        `xml:"vpcId,omitempty"`
	PrivateIP  string        `xml:"privateIpAddress,omitempty"`
	PublicIP   string        `xml:"ipAddress,omitempty"`
	Groups     []groupItem   `xml:"groupSet>item"`
	Interfaces []cardItem    `xml:"networkInterfaceSet>item"`
	Tags       []tagItem     `xml:"tagSet>item"`
}

type reservationItem struct {
	ID        string         `xml:"reservationId"`
	Owner     string         `xml:"ownerId"`
	Instances []instanceItem `xml:"instancesSet>item"`
}

type runAnswer struct {
	head
	reservationItem
}

type instancesAnswer struct {
	head
	more
	Reservations []reservationItem `xml:"reservationSet>item"`
}

type changeItem struct {
	ID     string    `xml:"instanceId"`
	Now    stateItem `xml:"currentState"`
	Before stateItem `xml:"previousState"`
}

type changesAnswer struct {
	head
	Changes []changeItem `xml:"instancesSet>item"`
}

type networkCardItem struct {
	Index         int `xml:"networkCardIndex"`
	MaxInterfaces int `xml:"maximumNetworkInterfaces"`
}

type networkInfo struct {
	MaxInterfaces int               `xml:"maximumNetworkInterfaces"`
	MaxCards      int               `xml:"maximumNetworkCards"`
	DefaultCard   int               `xml:"defaultNetworkCardIndex"`
	Cards         []networkCardItem `xml:"networkCards>item"`
	IPv4s         int               `xml:"ipv4AddressesPerInterface"`
	IPv6s         int               `xml:"ipv6AddressesPerInterface"`
	IPv6          bool              `xml:"ipv6Supported"`
	ENA           string            `xml:"enaSupport"`
}

type typeItem struct {
	Name       string      `xml:"instanceType"`
	BareMetal  bool        `xml:"bareMetal"`
	Hypervisor string      `xml:"hypervisor,omitempty"`
	Network    networkInfo `xml:"networkInfo"`
}

type typesAnswer struct {
	head
	more
	Types []typeItem `xml:"instanceTypeSet>item"`
}

type cidr6State struct {
	State string `xml:"state"`
}

type subnetCIDR6 struct {
	ID    string     `xml:"associationId"`
	CIDR  string     `xml:"ipv6CidrBlock"`
	State cidr6State `xml:"ipv6CidrBlockState"`
}

type subnetItem struct {
	ID          string        `xml:"subnetId"`
	ARN         string        `xml:"subnetArn"`
	State       string        `xml:"state"`
	Owner       string        `xml:"ownerId"`
	VPC         string        `xml:"vpcId"`
	CIDR        string        `xml:"cidrBlock"`
	CIDR6       []subnetCIDR6 `xml:"ipv6CidrBlockAssociationSet>item"`
	Free        int           `xml:"availableIpAddressCount"`
	Zone        string        `xml:"availabilityZone"`
	ZoneID      string        `xml:"availabilityZoneId"`
	DefaultForZ bool          `xml:"defaultForAz"`
	MapPublicIP bool          `xml:"mapPublicIpOnLaunch"`
	AssignIPv6  bool          `xml:"assignIpv6AddressOnCreation"`
	IPv6Native  bool          `xml:"ipv6Native"`
	Tags        []tagItem     `xml:"tagSet>item"`
}

type subnetsAnswer struct {
	head
	more
	Subnets []subnetItem `xml:"subnetSet>item"`
}

type securityGroupItem struct {
	Owner       string    `xml:"ownerId"`
	ID          string    `xml:"groupId"`
	Name        string    `xml:"groupName"`
	Description string    `xml:"groupDescription"`
	VPC         string    `xml:"vpcId"`
	Tags        []tagItem `xml:"tagSet>item"`
}

type groupsAnswer struct {
	head
	more
	Groups []securityGroupItem `xml:"securityGroupInfo>item"`
}

type vpcCIDR struct {
	ID    string     `xml:"associationId"`
	CIDR  string     `xml:"cidrBlock"`
	State cidr6State `xml:"cidrBlockState"`
}

type vpcItem struct {
	ID        string        `xml:"vpcId"`
	Owner     string        `xml:"ownerId"`
	State     string        `xml:"state"`
	CIDR      string        `xml:"cidrBlock"`
	CIDRs     []vpcCIDR     `xml:"cidrBlockAssociationSet>item"`
	CIDR6     []subnetCIDR6 `xml:"ipv6CidrBlockAssociationSet>item"`
	Tenancy   string        `xml:"instanceTenancy"`
	IsDefault bool          `xml:"isDefault"`
	Tags      []tagItem     `xml:"tagSet>item"`
}

type vpcsAnswer struct {
	head
	more
	VPCs []vpcItem `xml:"vpcSet>item"`
}

type zoneItem struct {
	Name   string `xml:"zoneName"`
	ID     string `xml:"zoneId"`
	State  string `xml:"zoneState"`
	Region string `xml:"regionName"`
	OptIn  string `xml:"optInStatus"`
	Type   string `xml:"zoneType"`
}

type zonesAnswer struct {
	head
	Zones []zoneItem `xml:"availabilityZoneInfo>item"`
}
