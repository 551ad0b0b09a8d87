package aliyun

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
	"github.com/nicferry/nicferry/provider/providertest"
)

// The caller who may do all, and whose hands the tests' own are.
const admin = "test"

// openGuarded is a world in which the provider may do what the policies that we ship with
// these names allow, and which has our tag on its instances.
func openGuarded(t *testing.T, names ...string) *enitest.World {
	t.Helper()
	account := &iam.Account{Dialect: iam.RAM(), Region: "cn-hangzhou", ID: "1234567890123456"}
	all, err := iam.RAM().Parse([]byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	account.Attach(admin, "user/admin", all)
	w := open(t, cloudsim.Options{Policy: account})
	words := strings.NewReplacer("REGION", account.Region, "ACCOUNT", account.ID, "CLUSTER", "cl-1", "VSWITCH1", w.Nets[0], "VSWITCH2", w.Nets[1], "GROUP", w.Group,
		"HAVIP", "*") // of which there is none yet
	var policies []iam.Document
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("../../examples/aliyun/ram", name+".json"))
		w.Must(err)
		p, err := iam.RAM().Parse([]byte(words.Replace(string(text))))
		w.Must(err)
		policies = append(policies, p)
	}
	account.Attach(testKey, "user/nicferryd", policies...)
	for _, id := range w.VMs {
		w.Must(w.Cloud.CreateTags(t.Context(), cloudsim.Call{Caller: admin}, []string{string(id)}, cloudsim.Tags{eni.TagCluster: "cl-1"}))
	}
	return w
}

// allPolicies are those that we ship.
func allPolicies() []string {
	return []string{"read-only", "dynamic-eni", "secondary-ip", "eip", "havip"}
}

// S3: what we ship is enough for all that the conformance suite has a provider do.
func TestS3_ThePoliciesWeShipAreEnough(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig { return openGuarded(t, allPolicies()...).Rig() })
}

// S3: what is tried beforehand is permitted, and so nothing is found to be wrong.
func TestS3_WhatIsTriedBeforehandIsPermitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openGuarded(t, allPolicies()...)
		networks := []nic.Network{{Name: "vpc", Provider: "cloud", Cloud: nic.Cloud{Subnets: w.Nets[:2], Groups: []string{w.Group}, Movable: true}}}
		good := 0
		for _, f := range w.Check(t.Context(), networks) {
			if f.Verdict == provider.Bad {
				t.Errorf("%+v", f)
			}
			if f.Verdict == provider.Good {
				good++
			}
		}
		if good < 8 {
			t.Errorf("only %d things are found to be good", good)
		}
		w.Clean(0)
	})
}

// strangers are what is not ours in a world, and what is.
type strangers struct {
	*enitest.World

	ecs, vpc                          *acs.Caller // with the provider's own keys
	nic, plugged, vm, vSwitch, group  string
	second                            string // an address of nic's, besides the primary one
	ownNIC, ownVM, ownVSwitch, ownEIP string
}

func findStrangers(w *enitest.World) *strangers {
	w.Helper()
	p := with(w, enitest.Serve(w.T, handler(w)), func(*Options) {})
	o := &strangers{World: w, ecs: p.cloud.ecs, vpc: p.cloud.vpc, second: "10.80.0.200", ownVM: string(w.VMs[0]), ownVSwitch: w.Nets[0]}
	ctx, root := w.Context(), cloudsim.Call{Caller: admin}
	foreign, err := w.Cloud.CreateInterface(ctx, root, cloudsim.CreateInterface{Subnet: w.Nets[0], Tags: cloudsim.Tags{eni.TagNIC: "x", eni.TagCluster: "other"}})
	w.Must(err)
	_, err = w.Cloud.AssignIPv4(ctx, root, cloudsim.AssignIPv4{Interface: foreign.ID, Addrs: []netip.Addr{netip.MustParseAddr(o.second)}})
	w.Must(err)
	plugged, err := w.Cloud.CreateInterface(ctx, root, cloudsim.CreateInterface{Subnet: w.Nets[0]})
	w.Must(err)
	_, err = w.Cloud.AttachInterface(ctx, root, cloudsim.AttachInterface{Interface: plugged.ID, Instance: o.ownVM, Device: cloudsim.AnyDevice})
	w.Must(err)
	others, err := w.Cloud.AddInstances(cloudsim.RunInstances{Type: w.Small, Subnet: w.Nets[0]})
	w.Must(err)
	group, err := w.Cloud.AddGroup(cloudsim.SecurityGroup{Name: "others", Description: "for others", VPC: w.VPC})
	w.Must(err)
	own, err := w.Provider.Create(ctx, w.Spec(enitest.ID(1)))
	w.Must(err)
	eip, err := p.cloud.Allocate(ctx, "clm-0000000000000001", nil)
	w.Must(err)
	o.nic, o.plugged, o.vm, o.vSwitch, o.group = foreign.ID, plugged.ID, others[0].ID, w.Nets[2], group.ID
	o.ownNIC, o.ownEIP = own.ProviderID, eip.ID
	return o
}

// S3: and no more: with the provider's own keys nothing of others is changed, made without
// our tag or elsewhere, or made ours. EIPs are the exception, which README says.
func TestS3_ThePoliciesWeShipTouchNothingOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := findStrangers(openGuarded(t, allPolicies()...))
		for name, calls := range map[string]map[string]func() error{"plugging": o.plugging(), "touching": o.touching(), "making": o.making(), "tagging": o.tagging()} {
			for what, call := range calls {
				err := call()
				if r, ok := errors.AsType[*acs.Refusal](err); !ok || !lacks(r.Code) || r.Missing == "" {
					t.Errorf("%s: %s: %v; want it refused by RAM", name, what, err)
				}
			}
		}
	})
}

// plugging are calls that plug in and out what is not ours, or where that is not ours.
func (o *strangers) plugging() map[string]func() error {
	attach := func(id, vm string) func() error {
		return func() error {
			r := ecs.CreateAttachNetworkInterfaceRequest()
			r.NetworkInterfaceId, r.InstanceId = id, vm
			return o.ecs.Do(o.Context(), r, ecs.CreateAttachNetworkInterfaceResponse())
		}
	}
	return map[string]func() error{
		"a foreign one":         attach(o.nic, o.ownVM),
		"to a foreign instance": attach(o.ownNIC, o.vm),
		"detach a foreign one": func() error {
			r := ecs.CreateDetachNetworkInterfaceRequest()
			r.NetworkInterfaceId, r.InstanceId = o.plugged, o.ownVM
			return o.ecs.Do(o.Context(), r, ecs.CreateDetachNetworkInterfaceResponse())
		},
	}
}

// touching are calls that change what is not ours.
func (o *strangers) touching() map[string]func() error {
	return map[string]func() error{
		"delete": func() error {
			r := ecs.CreateDeleteNetworkInterfaceRequest()
			r.NetworkInterfaceId = o.nic
			return o.ecs.Do(o.Context(), r, ecs.CreateDeleteNetworkInterfaceResponse())
		},
		"modify": func() error {
			r := ecs.CreateModifyNetworkInterfaceAttributeRequest()
			r.NetworkInterfaceId, r.Description = o.nic, "ours"
			return o.ecs.Do(o.Context(), r, ecs.CreateModifyNetworkInterfaceAttributeResponse())
		},
		"give an address": func() error {
			r := ecs.CreateAssignPrivateIpAddressesRequest()
			r.NetworkInterfaceId, r.SecondaryPrivateIpAddressCount = o.nic, requests.NewInteger(1)
			return o.ecs.Do(o.Context(), r, ecs.CreateAssignPrivateIpAddressesResponse())
		},
		"take an address": func() error {
			r := ecs.CreateUnassignPrivateIpAddressesRequest()
			r.NetworkInterfaceId, r.PrivateIpAddress = o.nic, &[]string{o.second}
			return o.ecs.Do(o.Context(), r, ecs.CreateUnassignPrivateIpAddressesResponse())
		},
		"lead our public address there": func() error {
			r := vpc.CreateAssociateEipAddressRequest()
			r.AllocationId, r.InstanceType, r.InstanceId = o.ownEIP, kindInterface, o.nic
			return o.vpc.Do(o.Context(), r, vpc.CreateAssociateEipAddressResponse())
		},
	}
}

// making are calls that make what is not ours, or where that is not ours.
func (o *strangers) making() map[string]func() error {
	create := func(vSwitch, group, cluster string) func() error {
		return func() error {
			r := ecs.CreateCreateNetworkInterfaceRequest()
			r.VSwitchId, r.SecurityGroupIds = vSwitch, &[]string{group}
			if cluster != "" {
				r.Tag = &[]ecs.CreateNetworkInterfaceTag{{Key: eni.TagCluster, Value: cluster}}
			}
			return o.ecs.Do(o.Context(), r, ecs.CreateCreateNetworkInterfaceResponse())
		}
	}
	return map[string]func() error{
		"without our tag":         create(o.ownVSwitch, o.Group, ""),
		"with another's":          create(o.ownVSwitch, o.Group, "other"),
		"in another vSwitch":      create(o.vSwitch, o.Group, "cl-1"),
		"with a group of others'": create(o.ownVSwitch, o.group, "cl-1"),
	}
}

// tagging are calls that make it ours, or ours another's.
func (o *strangers) tagging() map[string]func() error {
	tag := func(kind, id, cluster string) func() error {
		return func() error {
			r := ecs.CreateTagResourcesRequest()
			r.ResourceType, r.ResourceId, r.Tag = kind, &[]string{id}, &[]ecs.TagResourcesTag{{Key: eni.TagCluster, Value: cluster}}
			return o.ecs.Do(o.Context(), r, ecs.CreateTagResourcesResponse())
		}
	}
	return map[string]func() error{
		"a foreign one":      tag(resourceENI, o.nic, "cl-1"),
		"a foreign instance": tag("instance", o.vm, "cl-1"),
		"ours as another's":  tag(resourceENI, o.ownNIC, "other"),
		"ours no more": func() error {
			r := ecs.CreateUntagResourcesRequest()
			r.ResourceType, r.ResourceId, r.TagKey = resourceENI, &[]string{o.ownNIC}, &[]string{eni.TagCluster}
			return o.ecs.Do(o.Context(), r, ecs.CreateUntagResourcesResponse())
		},
	}
}

// S3: who may too little is told so, with the action that is missing.
func TestS3_AMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openGuarded(t, "read-only")
		_, err := w.Provider.Create(t.Context(), w.Spec(enitest.ID(1)))
		if !errors.Is(err, provider.ErrDenied) || !strings.Contains(err.Error(), "ecs:CreateNetworkInterface") {
			t.Errorf("%v; want it denied, with the action", err)
		}
		w.Clean(0)
	})
}
