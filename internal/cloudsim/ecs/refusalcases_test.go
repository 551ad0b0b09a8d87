package ecs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

// atTheDoor are the rows that TestVerify brings about.
var atTheDoor = map[string]bool{
	"wire.incomplete": true, "wire.method": true, "wire.time": true, "wire.expired": true, "wire.key": true, "wire.token": true,
	"wire.token.expired": true, "wire.signature": true, "wire.nonce": true, "wire.twice": true,
}

// In the cases' world little is enough.
var (
	smallTypes = []cloudsim.InstanceType{
		{Name: "ecs.g6.large", MaxInterfaces: 2, Cards: []int{2}, IPv4PerInterface: 3, IPv6PerInterface: 1, Members: 2},
		{Name: "ecs.old", MaxInterfaces: 2, Cards: []int{2}, IPv4PerInterface: 3},
	}
	smallQuotas = cloudsim.Quotas{
		Interfaces: 8, InterfacesPerGroup: 4, GroupsPerInterface: 2, Addresses: 2, TagsPerResource: 2, UnattachedIPv4: 4, UnattachedIPv6: 2,
		HaVips: 3, HaVipMembers: 1, HaVipsPerInstance: 2,
	}
)

const nobody = "0123456789abcdef0" // of no id

// with is a call after what else it has.
func with(c call, pairs ...string) call { return append(c[:len(c):len(c)], pairs...) }

func (w *world) creating(pairs ...string) call {
	return with(call{"CreateNetworkInterface", "VSwitchId", w.vSwitch, "SecurityGroupId", w.group}, pairs...)
}

func on(action, eni string, pairs ...string) call {
	return with(call{action, "NetworkInterfaceId", eni}, pairs...)
}

func (w *world) attaching(eni string, pairs ...string) call {
	return on("AttachNetworkInterface", eni, with(call{"InstanceId", w.ecs}, pairs...)...)
}

// done makes a call that must succeed.
func (w *world) done(c call) { w.Helper(); w.ok(c[0], c[1:]...) }

// held makes a call whose transition into the state does not end.
func (w *world) held(state string, c call) {
	w.Helper()
	w.inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: state})
	w.done(c)
}

// inUse is a new interface that is attached; pairs are of its making.
func (w *world) inUse(pairs ...string) string {
	w.Helper()
	id := w.create(pairs...)
	w.done(w.attaching(id))
	return id
}

// primary is the instance's first interface.
func (w *world) primary() string {
	w.Helper()
	got := w.ok("DescribeNetworkInterfaces", "Type", "Primary", "InstanceId", w.ecs)
	return dig(got, "NetworkInterfaceSets.NetworkInterfaceSet.0.NetworkInterfaceId").(string)
}

// subnet is another vSwitch.
func (w *world) subnet(vpc, zone, cidr string) string {
	w.Helper()
	return must(w.cloud.AddSubnet(cloudsim.Subnet{VPC: vpc, Zone: zone, CIDR: netip.MustParsePrefix(cidr)}))(w.T).ID
}

func (w *world) otherVPC() string {
	w.Helper()
	return must(w.cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.1.0.0/16")}))(w.T).ID
}

// instance is another one.
func (w *world) instance(kind string) string {
	w.Helper()
	return must(w.cloud.AddInstances(cloudsim.RunInstances{Type: kind, Subnet: w.vSwitch}))(w.T)[0].ID
}

// deny allows nothing.
type deny struct{}

func (deny) Allow(cloudsim.Call, []cloudsim.Resource) error { return errors.New("not you") }

// remake is the world anew.
func (w *world) remake(o cloudsim.Options) { w.Helper(); *w = *newWorld(w.T, o) }

// stop stops the instance, which takes long.
func (w *world) stop() {
	w.Helper()
	if _, err := w.cloud.StopInstances(w.Context(), cloudsim.Call{}, w.ecs); err != nil {
		w.Fatal(err)
	}
}

var slowToStop = cloudsim.Options{Latency: cloudsim.Latency{Stop: cloudsim.Range{Min: time.Hour}}}

func byFault(verb cloudsim.Verb) func(*world) call {
	return func(w *world) call {
		w.inject(cloudsim.Fault{Verb: verb})
		return call{"DescribeVpcs"}
	}
}

func plain(c ...string) func(*world) call { return func(*world) call { return c } }

var refusalsOfReading = map[string]func(*world) call{
	"wire.action":        plain("DescribeNothing"),
	"wire.version":       plain("DescribeVpcs", "Version", "1999-01-01"),
	"wire.unreadable":    plain("DescribeVpcs", "a.b.c.d.e.f.g.h.i.j", "x"),
	"wire.missing":       plain("DeleteNetworkInterface"),
	"wire.unknown":       plain("DescribeVpcs", "Colour", "red"),
	"wire.value":         plain("DescribeNetworkInterfaces", "Status", "Asleep"),
	"wire.tag.twice":     func(w *world) call { return w.creating("Tag.1.Key", "k", "Tag.2.Key", "k") },
	"wire.tag.key":       func(w *world) call { return w.creating("Tag.1.Key", "acs:k") },
	"wire.resourcegroup": plain("DescribeNetworkInterfaces", "ResourceGroupId", "mine"),
	"wire.filter":        plain("DescribeHaVips", "Filter.1.Key", "Colour", "Filter.1.Value.1", "red"),
	"wire.instancetype":  plain("AssociateEipAddress", "AllocationId", "eip-1", "InstanceId", "ngw-1", "InstanceType", "Nat"),
	"throttled":          byFault(cloudsim.Throttle),
	"conflict":           byFault(cloudsim.Conflict),
	"server":             byFault(cloudsim.ServerError),
	"denied": func(w *world) call {
		w.remake(cloudsim.Options{Policy: deny{}})
		return call{"DescribeVpcs"}
	},
	"denied.explicit": func(w *world) call {
		deny := must(iam.RAM().Parse([]byte(`{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`)))(w.T)
		account := &iam.Account{Dialect: iam.RAM(), Region: "cn-hangzhou", ID: "1234567890123456"}
		account.Attach("test", "user/nobody", deny)
		w.remake(cloudsim.Options{Policy: account})
		return call{"DescribeVpcs"}
	},
	"dryrun":       plain("DescribeInstances", "DryRun", "true"),
	"region":       plain("DescribeVpcs", "RegionId", "cn-beijing"),
	"page.token":   plain("DescribeNetworkInterfaces", "NextToken", "telephone"),
	"tag.resource": plain("TagResources", "ResourceType", "eni", "ResourceId.1", "telephone", "Tag.1.Key", "k"),
	"tag.limit":    func(w *world) call { return w.creating("Tag.1.Key", "a", "Tag.2.Key", "b", "Tag.3.Key", "c") },
	"token.mismatch": func(w *world) call {
		w.create("ClientToken", "t")
		return w.creating("ClientToken", "t", "Description", "another")
	},
	"combination": func(w *world) call { return w.creating("SecondaryPrivateIpAddressCount", "1", "Ipv4PrefixCount", "1") },
	"missing":     func(w *world) call { return on("UnassignPrivateIpAddresses", w.create()) },
}

var refusalsOfInterfaces = map[string]func(*world) call{
	"eni.missing":   plain(on("DeleteNetworkInterface", "eni-"+nobody)...),
	"eni.malformed": plain(on("DeleteNetworkInterface", "eni-telephone")...),
	"eni.busy":      func(w *world) call { return on("DeleteNetworkInterface", w.inUse()) },
	"eni.inuse": func(w *world) call {
		return on("AttachNetworkInterface", w.inUse(), "InstanceId", w.instance("ecs.old"))
	},
	"eni.pending": func(w *world) call {
		w.inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: "pending"})
		return w.attaching(w.create())
	},
	"eni.state": func(w *world) call {
		w.inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: "pending"})
		return on("AssignPrivateIpAddresses", w.create(), "SecondaryPrivateIpAddressCount", "1")
	},
	"eni.first": func(w *world) call { return on("DeleteNetworkInterface", w.primary()) },
	"eni.managed": func(w *world) call {
		ids := must(w.cloud.Plant(cloudsim.Foreign{Subnet: w.vSwitch, Requester: "slb"}))(w.T)
		return on("DeleteNetworkInterface", ids[0])
	},
	"eni.quota": func(w *world) call {
		for n := range 7 {
			w.create("SecurityGroupId", must(w.cloud.AddGroup(cloudsim.SecurityGroup{Name: fmt.Sprint(n), VPC: w.vpc}))(w.T).ID)
		}
		return w.creating()
	},
	"attachment.missing": func(w *world) call { return on("DetachNetworkInterface", w.create(), "InstanceId", w.ecs) },
	"attachment.state": func(w *world) call {
		id := w.create()
		w.held("attaching", w.attaching(id))
		return on("DetachNetworkInterface", id, "InstanceId", w.ecs)
	},
	"attachment.primary": func(w *world) call { return on("DetachNetworkInterface", w.primary(), "InstanceId", w.ecs) },
	"attachment.managed": func(w *world) call {
		ids := must(w.cloud.Plant(cloudsim.Foreign{Subnet: w.vSwitch, Requester: "slb", Instance: w.ecs}))(w.T)
		return on("DetachNetworkInterface", ids[0], "InstanceId", w.ecs)
	},
	"card.range":   func(w *world) call { return w.attaching(w.create(), "NetworkCardIndex", "1") },
	"attach.limit": func(w *world) call { w.inUse(); return w.attaching(w.create()) },
	"attach.zone": func(w *world) call {
		return w.attaching(w.create("VSwitchId", w.subnet(w.vpc, "cn-hangzhou-b", "10.0.2.0/24")))
	},
	"instance.missing":   func(w *world) call { return on("AttachNetworkInterface", w.create(), "InstanceId", "i-"+nobody) },
	"instance.malformed": func(w *world) call { return on("AttachNetworkInterface", w.create(), "InstanceId", "telephone") },
	"instance.state": func(w *world) call {
		w.remake(slowToStop)
		id := w.inUse()
		w.stop()
		return on("DetachNetworkInterface", id, "InstanceId", w.ecs)
	},
	"attach.vpc": func(w *world) call {
		v := w.otherVPC()
		g := must(w.cloud.AddGroup(cloudsim.SecurityGroup{Name: "other", VPC: v}))(w.T)
		return w.attaching(w.create("VSwitchId", w.subnet(v, "cn-hangzhou-a", "10.1.2.0/24"), "SecurityGroupId", g.ID))
	},
	"trunk.missing": func(w *world) call { return w.attaching(w.create(), "TrunkNetworkInstanceId", "eni-"+nobody) },
	"trunk.type": func(w *world) call {
		return on("AttachNetworkInterface", w.create("InstanceType", "Trunk"), "InstanceId", w.instance("ecs.old"))
	},
	"trunk.kind": func(w *world) call { return w.attaching(w.create(), "TrunkNetworkInstanceId", w.primary()) },
	"trunk.state": func(w *world) call {
		return w.attaching(w.create(), "TrunkNetworkInstanceId", w.create("InstanceType", "Trunk"))
	},
	"trunk.stranger": func(w *world) call {
		return on("DetachNetworkInterface", w.inUse(), "InstanceId", w.ecs, "TrunkNetworkInstanceId", w.primary())
	},
	"trunk.members": func(w *world) call {
		trunk := w.inUse("InstanceType", "Trunk")
		w.done(w.attaching(w.create(), "TrunkNetworkInstanceId", trunk))
		return on("DetachNetworkInterface", trunk, "InstanceId", w.ecs)
	},
	"subnet.missing": func(w *world) call { return w.creating("VSwitchId", "vsw-"+nobody) },
	"subnet.full": func(w *world) call {
		tiny := w.subnet(w.vpc, "cn-hangzhou-a", "10.0.9.0/28")
		w.create("VSwitchId", tiny, "SecondaryPrivateIpAddressCount", "3")
		w.create("VSwitchId", tiny, "SecondaryPrivateIpAddressCount", "3")
		w.create("VSwitchId", tiny, "SecondaryPrivateIpAddressCount", "3")
		return w.creating("VSwitchId", tiny, "SecondaryPrivateIpAddressCount", "3")
	},
	"subnet.blocks": func(w *world) call {
		return w.creating("VSwitchId", w.subnet(w.vpc, "cn-hangzhou-a", "10.0.9.0/28"), "Ipv4PrefixCount", "1")
	},
	"subnet.noipv6": func(w *world) call {
		return w.creating("VSwitchId", w.subnet(w.vpc, "cn-hangzhou-a", "10.0.9.0/28"), "Ipv6AddressCount", "1")
	},
	"group.missing": func(w *world) call { return w.creating("SecurityGroupId", "sg-"+nobody) },
	"group.unknown": func(w *world) call {
		return on("ModifyNetworkInterfaceAttribute", w.create(), "SecurityGroupId.1", "sg-"+nobody)
	},
	"group.foreign": func(w *world) call {
		g := must(w.cloud.AddGroup(cloudsim.SecurityGroup{Name: "other", VPC: w.otherVPC()}))(w.T)
		return w.creating("SecurityGroupId", g.ID)
	},
	"group.limit": func(w *world) call {
		c := on("ModifyNetworkInterfaceAttribute", w.create())
		for n := range 3 {
			g := must(w.cloud.AddGroup(cloudsim.SecurityGroup{Name: fmt.Sprint(n), VPC: w.vpc}))(w.T)
			c = with(c, fmt.Sprintf("SecurityGroupId.%d", n+1), g.ID)
		}
		return c
	},
	"group.full": func(w *world) call {
		for range 4 {
			w.create()
		}
		return w.creating()
	},
}
