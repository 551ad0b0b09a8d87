package ecs

import (
	"encoding/json"
	"net/netip"
)

// The requests, with the parameters' names on the wire: those of the SDK's types.

// texts is a list that is written as one parameter, in JSON.
type texts []string

// UnmarshalText reads the list.
func (t *texts) UnmarshalText(text []byte) error { return json.Unmarshal(text, (*[]string)(t)) }

type tag struct {
	Key   string `query:"Key,required"`
	Value string `query:"Value"`
}

// numbered asks for a page by its number, tokened for the one after a token.
type numbered struct {
	PageNumber int `query:"PageNumber"`
	PageSize   int `query:"PageSize"`
}

type tokened struct {
	NextToken  string `query:"NextToken"`
	MaxResults int    `query:"MaxResults"`
}

type createInterface struct {
	VSwitchID       string         `query:"VSwitchId,required"`
	GroupID         string         `query:"SecurityGroupId"`
	GroupIDs        []string       `query:"SecurityGroupIds"`
	Primary         netip.Addr     `query:"PrimaryIpAddress"`
	Addrs           []netip.Addr   `query:"PrivateIpAddress"`
	Count           *int           `query:"SecondaryPrivateIpAddressCount"`
	Prefixes        []netip.Prefix `query:"Ipv4Prefix"`
	PrefixCount     *int           `query:"Ipv4PrefixCount"`
	IPv6            []netip.Addr   `query:"Ipv6Address"`
	IPv6Count       *int           `query:"Ipv6AddressCount"`
	IPv6Prefixes    []netip.Prefix `query:"Ipv6Prefix"`
	IPv6PrefixCount *int           `query:"Ipv6PrefixCount"`
	Name            string         `query:"NetworkInterfaceName"`
	Description     string         `query:"Description"`
	Tags            []tag          `query:"Tag"`
	ResourceGroup   string         `query:"ResourceGroupId"`
	Token           string         `query:"ClientToken"`
	Type            string         `query:"InstanceType"`
	TrafficMode     string         `query:"NetworkInterfaceTrafficMode"`
	Queues          int            `query:"QueueNumber"`
	DeleteOnRelease *bool          `query:"DeleteOnRelease"`
	SourceDestCheck *bool          `query:"SourceDestCheck"`
}

type describeInterfaces struct {
	tokened
	numbered
	IDs            []string     `query:"NetworkInterfaceId"`
	InstanceID     string       `query:"InstanceId"`
	VSwitchID      string       `query:"VSwitchId"`
	VPCID          string       `query:"VpcId"`
	GroupID        string       `query:"SecurityGroupId"`
	Type           string       `query:"Type"`
	Status         string       `query:"Status"`
	Name           string       `query:"NetworkInterfaceName"`
	Primary        netip.Addr   `query:"PrimaryIpAddress"`
	Addrs          []netip.Addr `query:"PrivateIpAddress"`
	IPv6           []netip.Addr `query:"Ipv6Address"`
	Tags           []tag        `query:"Tag"`
	ResourceGroup  string       `query:"ResourceGroupId"`
	ServiceManaged *bool        `query:"ServiceManaged"`
}

type interfaceNamed struct {
	InterfaceID string `query:"NetworkInterfaceId,required"`
}

type interfaceAttribute struct {
	interfaceNamed
	Attribute string `query:"Attribute"`
}

type plugInterface struct {
	interfaceNamed
	InstanceID string `query:"InstanceId,required"`
	Trunk      string `query:"TrunkNetworkInstanceId"`
	Card       *int   `query:"NetworkCardIndex"`
	Wait       *bool  `query:"WaitForNetworkConfigurationReady"`
}

type unplugInterface struct {
	interfaceNamed
	InstanceID string `query:"InstanceId,required"`
	Trunk      string `query:"TrunkNetworkInstanceId"`
}

type modifyInterface struct {
	interfaceNamed
	GroupIDs        []string `query:"SecurityGroupId"`
	Name            *string  `query:"NetworkInterfaceName"`
	Description     *string  `query:"Description"`
	Queues          int      `query:"QueueNumber"`
	DeleteOnRelease *bool    `query:"DeleteOnRelease"`
	SourceDestCheck *bool    `query:"SourceDestCheck"`
}

type assignAddresses struct {
	interfaceNamed
	Addrs       []netip.Addr   `query:"PrivateIpAddress"`
	Count       *int           `query:"SecondaryPrivateIpAddressCount"`
	Prefixes    []netip.Prefix `query:"Ipv4Prefix"`
	PrefixCount *int           `query:"Ipv4PrefixCount"`
	Token       string         `query:"ClientToken"`
}

type unassignAddresses struct {
	interfaceNamed
	Addrs    []netip.Addr   `query:"PrivateIpAddress"`
	Prefixes []netip.Prefix `query:"Ipv4Prefix"`
}

type assignIPv6 struct {
	interfaceNamed
	Addrs       []netip.Addr   `query:"Ipv6Address"`
	Count       *int           `query:"Ipv6AddressCount"`
	Prefixes    []netip.Prefix `query:"Ipv6Prefix"`
	PrefixCount *int           `query:"Ipv6PrefixCount"`
	Token       string         `query:"ClientToken"`
}

type unassignIPv6 struct {
	interfaceNamed
	Addrs    []netip.Addr   `query:"Ipv6Address"`
	Prefixes []netip.Prefix `query:"Ipv6Prefix"`
}

type tagResources struct {
	Type string   `query:"ResourceType,required"`
	IDs  []string `query:"ResourceId"`
	Tags []tag    `query:"Tag"`
}

type untagResources struct {
	Type string   `query:"ResourceType,required"`
	IDs  []string `query:"ResourceId"`
	Keys []string `query:"TagKey"`
	All  bool     `query:"All"`
}

type listTags struct {
	NextToken string   `query:"NextToken"`
	Type      string   `query:"ResourceType,required"`
	IDs       []string `query:"ResourceId"`
	Tags      []tag    `query:"Tag"`
}

type describeInstances struct {
	tokened
	numbered
	IDs       texts  `query:"InstanceIds"`
	VPCID     string `query:"VpcId"`
	VSwitchID string `query:"VSwitchId"`
	ZoneID    string `query:"ZoneId"`
	Type      string `query:"InstanceType"`
	Status    string `query:"Status"`
	Name      string `query:"InstanceName"`
	Tags      []tag  `query:"Tag"`
	Dry       bool   `query:"DryRun"`
}

func (r *describeInstances) dryRun() bool { return r.Dry }

type describeTypes struct {
	tokened
	Types []string `query:"InstanceTypes"`
}

type describeGroups struct {
	tokened
	numbered
	ID    string `query:"SecurityGroupId"`
	IDs   texts  `query:"SecurityGroupIds"`
	Name  string `query:"SecurityGroupName"`
	VPCID string `query:"VpcId"`
	Tags  []tag  `query:"Tag"`
	Dry   bool   `query:"DryRun"`
}

func (r *describeGroups) dryRun() bool { return r.Dry }

type describeVPCs struct {
	numbered
	ID   string `query:"VpcId"` // or several, with commas
	Tags []tag  `query:"Tag"`
	Dry  bool   `query:"DryRun"`
}

func (r *describeVPCs) dryRun() bool { return r.Dry }

type describeVSwitches struct {
	numbered
	ID     string `query:"VSwitchId"` // or several, with commas
	VPCID  string `query:"VpcId"`
	ZoneID string `query:"ZoneId"`
	Tags   []tag  `query:"Tag"`
	Dry    bool   `query:"DryRun"`
}

func (r *describeVSwitches) dryRun() bool { return r.Dry }
