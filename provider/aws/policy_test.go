package aws

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/providertest"
)

// The caller who may do all, and whose hands the tests' own are.
const admin = "test"

// openGuarded is a world in which the provider may do what the policies that we
// ship with these names allow, and which has our tag on its instances.
func openGuarded(t *testing.T, o cloudsim.Options, names ...string) *world {
	t.Helper()
	account := &iam.Account{Region: "eu-central-1", ID: "111122223333"}
	all, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	account.Attach(admin, "role/admin", all)
	o.Policy = account
	w := open(t, o)
	words := strings.NewReplacer("REGION", account.Region, "ACCOUNT", account.ID, "CLUSTER", "cl-1", "vpc/VPC", "vpc/"+w.VPC)
	var policies []iam.Document
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("../../examples/aws/iam", name+".json"))
		w.Must(err)
		p, err := iam.Parse([]byte(words.Replace(string(text))))
		w.Must(err)
		policies = append(policies, p)
	}
	account.Attach(testKey, "role/nicferryd", policies...)
	for _, id := range w.VMs {
		w.Must(w.Cloud.CreateTags(t.Context(), cloudsim.Call{Caller: admin}, []string{string(id)}, cloudsim.Tags{eni.TagCluster: "cl-1"}))
	}
	return w
}

// S3: what we ship is enough for all that the conformance suite has a provider do.
func TestS3_ThePoliciesWeShipAreEnough(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig {
		return openGuarded(t, cloudsim.Options{}, "read-only", "dynamic-eni", "secondary-ip", "eip").Rig()
	})
}

// strangers are what is not ours in a world, and what is.
type strangers struct {
	nic, attachment, instance, subnet, address string
	second                                     string // an address of nic's, besides the primary one
	ours                                       struct{ nic, instance, subnet, address string }
}

func (w *world) strangers() (o strangers) {
	w.Helper()
	ctx, root := w.Context(), cloudsim.Call{Caller: admin}
	foreign, err := w.Cloud.CreateInterface(ctx, root, cloudsim.CreateInterface{Subnet: w.Nets[0], Tags: cloudsim.Tags{"nicferry.io/nic": "x", eni.TagCluster: "other"}})
	w.Must(err)
	o.second = "10.80.0.200"
	_, err = w.Cloud.AssignIPv4(ctx, root, cloudsim.AssignIPv4{Interface: foreign.ID, Addrs: []netip.Addr{netip.MustParseAddr(o.second)}})
	w.Must(err)
	plugged, err := w.Cloud.CreateInterface(ctx, root, cloudsim.CreateInterface{Subnet: w.Nets[0]})
	w.Must(err)
	o.ours.instance, o.ours.subnet = string(w.VMs[0]), w.Nets[0]
	a, err := w.Cloud.AttachInterface(ctx, root, cloudsim.AttachInterface{Interface: plugged.ID, Instance: o.ours.instance, Device: 1})
	w.Must(err)
	others, err := w.Cloud.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: w.Nets[0]})
	w.Must(err)
	vpc, err := w.Cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.99.0.0/16")})
	w.Must(err)
	elsewhere, err := w.Cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.99.0.0/24")})
	w.Must(err)
	address, err := w.Cloud.AllocateAddress(ctx, root, cloudsim.NewAddress{})
	w.Must(err)
	own, err := w.inside().cloud.api.AllocateAddress(ctx, &sdk.AllocateAddressInput{TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeElasticIp, Tags: tagged(eni.TagCluster, "cl-1")}}})
	w.Must(err)
	o.nic, o.attachment, o.instance, o.subnet, o.address = foreign.ID, a.ID, others[0].ID, elsewhere.ID, address.Allocation
	o.ours.nic, o.ours.address = w.Created("nic-0000000000000001").ProviderID, *own.AllocationId
	return o
}

// S3: and no more: with the provider's own keys nothing of others is changed,
// made without our tag, or made ours.
func TestS3_ThePoliciesWeShipTouchNothingOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openGuarded(t, cloudsim.Options{}, "read-only", "dynamic-eni", "secondary-ip", "eip")
		o := w.strangers()
		w.refuseAll(touching(t.Context(), w.inside().cloud.api, o))
		w.refuseAll(claiming(t.Context(), w.inside().cloud.api, o))
	})
}

// touching are calls that change what is not ours.
func touching(ctx context.Context, c *sdk.Client, o strangers) map[string]func() error {
	return map[string]func() error{
		"delete": func() error {
			_, err := c.DeleteNetworkInterface(ctx, &sdk.DeleteNetworkInterfaceInput{NetworkInterfaceId: &o.nic})
			return err
		},
		"detach": func() error {
			_, err := c.DetachNetworkInterface(ctx, &sdk.DetachNetworkInterfaceInput{AttachmentId: &o.attachment})
			return err
		},
		"attach a foreign one": func() error {
			_, err := c.AttachNetworkInterface(ctx, &sdk.AttachNetworkInterfaceInput{NetworkInterfaceId: &o.nic, InstanceId: awssdk.String(o.ours.instance), DeviceIndex: awssdk.Int32(2)})
			return err
		},
		"attach to a foreign instance": func() error {
			_, err := c.AttachNetworkInterface(ctx, &sdk.AttachNetworkInterfaceInput{NetworkInterfaceId: &o.ours.nic, InstanceId: &o.instance, DeviceIndex: awssdk.Int32(1)})
			return err
		},
		"modify": func() error {
			_, err := c.ModifyNetworkInterfaceAttribute(ctx, &sdk.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &o.nic, Description: &types.AttributeValue{Value: awssdk.String("ours")}})
			return err
		},
		"give a foreign one an address": func() error {
			_, err := c.AssignPrivateIpAddresses(ctx, &sdk.AssignPrivateIpAddressesInput{NetworkInterfaceId: &o.nic, SecondaryPrivateIpAddressCount: awssdk.Int32(1)})
			return err
		},
		"take a foreign one's address": func() error {
			_, err := c.AssignPrivateIpAddresses(ctx, &sdk.AssignPrivateIpAddressesInput{
				NetworkInterfaceId: &o.ours.nic, PrivateIpAddresses: []string{o.second}, AllowReassignment: awssdk.Bool(true),
			})
			return err
		},
		"lead our address to a foreign one": func() error {
			_, err := c.AssociateAddress(ctx, &sdk.AssociateAddressInput{AllocationId: &o.ours.address, NetworkInterfaceId: &o.nic})
			return err
		},
		"lead a foreign address to ours": func() error {
			_, err := c.AssociateAddress(ctx, &sdk.AssociateAddressInput{AllocationId: &o.address, NetworkInterfaceId: &o.ours.nic})
			return err
		},
		"end an instance": func() error {
			_, err := c.TerminateInstances(ctx, &sdk.TerminateInstancesInput{InstanceIds: []string{o.ours.instance}})
			return err
		},
		"release a foreign address": func() error {
			_, err := c.ReleaseAddress(ctx, &sdk.ReleaseAddressInput{AllocationId: &o.address})
			return err
		},
	}
}

// claiming are calls that make what is not ours, or make it ours.
func claiming(ctx context.Context, c *sdk.Client, o strangers) map[string]func() error {
	return map[string]func() error{
		"make it ours": func() error {
			_, err := c.CreateTags(ctx, &sdk.CreateTagsInput{Resources: []string{o.nic}, Tags: tagged(eni.TagCluster, "cl-1")})
			return err
		},
		"give ours another tag": func() error {
			_, err := c.CreateTags(ctx, &sdk.CreateTagsInput{Resources: []string{o.ours.nic}, Tags: tagged(eni.TagCluster, "other")})
			return err
		},
		"make an instance ours": func() error {
			_, err := c.CreateTags(ctx, &sdk.CreateTagsInput{Resources: []string{o.instance}, Tags: tagged(eni.TagCluster, "cl-1")})
			return err
		},
		"make one without our tag": func() error {
			_, err := c.CreateNetworkInterface(ctx, &sdk.CreateNetworkInterfaceInput{SubnetId: &o.ours.subnet})
			return err
		},
		"make one in another VPC": func() error {
			_, err := c.CreateNetworkInterface(ctx, &sdk.CreateNetworkInterfaceInput{SubnetId: &o.subnet, TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeNetworkInterface, Tags: tagged(eni.TagCluster, "cl-1")}}})
			return err
		},
		"take a tag off": func() error {
			_, err := c.DeleteTags(ctx, &sdk.DeleteTagsInput{Resources: []string{o.ours.nic}, Tags: []types.Tag{{Key: awssdk.String(eni.TagCluster)}}})
			return err
		},
	}
}

// S3: a role that may too little is told so, with the action that it misses.
func TestS3_AMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openGuarded(t, cloudsim.Options{}, "read-only")
		_, err := w.Provider.Create(t.Context(), w.Spec("nic-0000000000000001"))
		if !errors.Is(err, provider.ErrDenied) || !strings.Contains(err.Error(), "ec2:CreateNetworkInterface") || !strings.Contains(err.Error(), "role/nicferryd") {
			t.Errorf("%v; want it denied, with the action and who was refused", err)
		}
		if n := len(w.Ours()); n != 0 {
			t.Errorf("%d NICs of ours were made", n)
		}
	})
}

// refuseAll wants each of the calls refused by the policies.
func (w *world) refuseAll(calls map[string]func() error) {
	w.Helper()
	for name, call := range calls {
		err := call()
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "UnauthorizedOperation" {
			w.Errorf("%s: %v; want UnauthorizedOperation", name, err)
		}
	}
}

func tagged(key, value string) []types.Tag {
	return []types.Tag{{Key: &key, Value: &value}}
}
