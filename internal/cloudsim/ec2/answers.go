package ec2

// The answers, with EC2's names of the elements. What is nil, and what is empty
// and has omitempty, is left out; a list without items is an empty element.

type head struct {
	RequestID string `xml:"requestId"`
}

func (h *head) stamp(id string) { h.RequestID = id }

// An answer is a pointer to a struct with a head.
type answer interface{ stamp(requestID string) }

type done struct {
	head
	Return bool `xml:"return"`
}

type more struct {
	NextToken string `xml:"nextToken,omitempty"`
}

type tagItem struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type groupItem struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type attachmentItem struct {
	ID                  string `xml:"attachmentId"`
	InstanceID          string `xml:"instanceId,omitempty"` // not in DescribeInstances
	InstanceOwner       string `xml:"instanceOwnerId,omitempty"`
	DeviceIndex         int    `xml:"deviceIndex"`
	Card                int    `xml:"networkCardIndex"`
	Status              string `xml:"status"`
	AttachTime          string `xml:"attachTime"`
	DeleteOnTermination bool   `xml:"deleteOnTermination"`
}

type associationItem struct {
	PublicIP      string `xml:"publicIp"`
	PublicDNS     string `xml:"publicDnsName"`
	Owner         string `xml:"ipOwnerId"`
	AllocationID  string `xml:"allocationId,omitempty"` // not in DescribeInstances
	AssociationID string `xml:"associationId,omitempty"`
}

type privateIPItem struct {
	Addr        string           `xml:"privateIpAddress"`
	DNS         string           `xml:"privateDnsName,omitempty"`
	Primary     bool             `xml:"primary"`
	Association *associationItem `xml:"association"`
}

type ipv6Item struct {
	Addr      string `xml:"ipv6Address"`
	IsPrimary bool   `xml:"isPrimaryIpv6"`
}

type prefix4Item struct {
	Prefix string `xml:"ipv4Prefix"`
}

type prefix6Item struct {
	Prefix string `xml:"ipv6Prefix"`
}

type operatorItem struct {
	Managed   bool   `xml:"managed"`
	Principal string `xml:"principal,omitempty"`
}

// cardItem is what interfaces are in all answers.
type cardItem struct {
	ID              string           `xml:"networkInterfaceId"`
	SubnetID        string           `xml:"subnetId"`
	VPC             string           `xml:"vpcId"`
	Description     string           `xml:"description"`
	Owner           string           `xml:"ownerId"`
	Status          string           `xml:"status"`
	MAC             string           `xml:"macAddress"`
	PrivateIP       string           `xml:"privateIpAddress,omitempty"`
	PrivateDNS      string           `xml:"privateDnsName,omitempty"`
	SourceDestCheck bool             `xml:"sourceDestCheck"`
	Type            string           `xml:"interfaceType"`
	Groups          []groupItem      `xml:"groupSet>item"`
	Attachment      *attachmentItem  `xml:"attachment"`
	Association     *associationItem `xml:"association"`
	PrivateIPs      []privateIPItem  `xml:"privateIpAddressesSet>item"`
	IPv6s           []ipv6Item       `xml:"ipv6AddressesSet>item"`
	Prefixes        []prefix4Item    `xml:"ipv4PrefixSet>item"`
	IPv6Prefixes    []prefix6Item    `xml:"ipv6PrefixSet>item"`
	Operator        operatorItem     `xml:"operator"`
}

// interfaceItem has what only the calls about interfaces say besides.
type interfaceItem struct {
	cardItem
	Zone             string    `xml:"availabilityZone"`
	ZoneID           string    `xml:"availabilityZoneId"`
	Requester        string    `xml:"requesterId,omitempty"`
	RequesterManaged bool      `xml:"requesterManaged"`
	IPv6             string    `xml:"ipv6Address,omitempty"`
	DenyIGW          bool      `xml:"denyAllIgwTraffic"`
	Tags             []tagItem `xml:"tagSet>item"`
}

type createInterfaceAnswer struct {
	head
	Interface   interfaceItem `xml:"networkInterface"`
	ClientToken string        `xml:"clientToken,omitempty"`
}

type interfacesAnswer struct {
	head
	more
	Interfaces []interfaceItem `xml:"networkInterfaceSet>item"`
}

type attachAnswer struct {
	head
	AttachmentID string `xml:"attachmentId"`
	Card         int    `xml:"networkCardIndex"`
}

type textItem struct {
	Value string `xml:"value"`
}

type boolItem struct {
	Value bool `xml:"value"`
}

type attributeAnswer struct {
	head
	ID              string          `xml:"networkInterfaceId"`
	Description     *textItem       `xml:"description"`
	SourceDestCheck *boolItem       `xml:"sourceDestCheck"`
	Groups          *groupSet       `xml:"groupSet"`
	Attachment      *attachmentItem `xml:"attachment"`
}

type groupSet struct {
	Items []groupItem `xml:"item"`
}

type assignedAnswer struct {
	head
	ID       string        `xml:"networkInterfaceId"`
	Addrs    []assignedIP  `xml:"assignedPrivateIpAddressesSet>item"`
	Prefixes []prefix4Item `xml:"assignedIpv4PrefixSet>item"`
}

type assignedIP struct {
	Addr string `xml:"privateIpAddress"`
}

type assignedIPv6Answer struct {
	head
	ID       string   `xml:"networkInterfaceId"`
	Addrs    []string `xml:"assignedIpv6Addresses>item"`
	Prefixes []string `xml:"assignedIpv6PrefixSet>item"`
}

type unassignedIPv6Answer struct {
	head
	ID       string   `xml:"networkInterfaceId"`
	Addrs    []string `xml:"unassignedIpv6Addresses>item"`
	Prefixes []string `xml:"unassignedIpv6PrefixSet>item"`
}

type tagDescription struct {
	Resource string `xml:"resourceId"`
	Type     string `xml:"resourceType"`
	tagItem
}

type tagsAnswer struct {
	head
	more
	Tags []tagDescription `xml:"tagSet>item"`
}

type allocateAnswer struct {
	head
	AllocationID string `xml:"allocationId"`
	PublicIP     string `xml:"publicIp"`
	Domain       string `xml:"domain"`
	Border       string `xml:"networkBorderGroup"`
	Pool         string `xml:"publicIpv4Pool"`
}

type associateAnswer struct {
	done
	AssociationID string `xml:"associationId"`
}

type addressItem struct {
	AllocationID   string    `xml:"allocationId"`
	PublicIP       string    `xml:"publicIp"`
	Domain         string    `xml:"domain"`
	AssociationID  string    `xml:"associationId,omitempty"`
	InterfaceID    string    `xml:"networkInterfaceId,omitempty"`
	InterfaceOwner string    `xml:"networkInterfaceOwnerId,omitempty"`
	InstanceID     string    `xml:"instanceId,omitempty"`
	PrivateIP      string    `xml:"privateIpAddress,omitempty"`
	Border         string    `xml:"networkBorderGroup"`
	Pool           string    `xml:"publicIpv4Pool"`
	Tags           []tagItem `xml:"tagSet>item"`
}

type addressesAnswer struct {
	head
	Addresses []addressItem `xml:"addressesSet>item"`
}
