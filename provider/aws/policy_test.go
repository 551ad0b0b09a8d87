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
	words := strings.NewReplacer("REGION", account.Region, "ACCOUNT", account.ID, "CLUSTER", "cl-1", "vpc/VPC", "vpc/"+w.vpc)
	var policies []iam.Document
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("../../examples/aws/iam", name+".json"))
		w.must(err)
		p, err := iam.Parse([]byte(words.Replace(string(text))))
		w.must(err)
		policies = append(policies, p)
	}
	account.Attach(testKey, "role/nicferryd", policies...)
	for _, id := range w.instances {
		w.must(w.cloud.CreateTags(t.Context(), cloudsim.Call{Caller: admin}, []string{string(id)}, cloudsim.Tags{tagCluster: "cl-1"}))
	}
	return w
}

// S3: what we ship is enough for all that the conformance suite has a provider do.
func TestS3_ThePoliciesWeShipAreEnough(t *testing.T) {
	t.Parallel()
	providertest.RunBubble(t, func(t *testing.T) *providertest.Rig {
		return openGuarded(t, cloudsim.Options{}, "read-only", "dynamic-eni", "secondary-ip", "eip").rig()
	})
}

// S3: and no more: with the provider's own keys nothing of others is changed,
// made without our tag, or made ours.
func TestS3_ThePoliciesWeShipTouchNothingOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openGuarded(t, cloudsim.Options{}, "read-only", "dynamic-eni", "secondary-ip", "eip")
		ctx, root := t.Context(), cloudsim.Call{Caller: admin}
		foreign, err := w.cloud.CreateInterface(ctx, root, cloudsim.CreateInterface{Subnet: w.subnets[0], Tags: cloudsim.Tags{"nicferry.io/nic": "x", tagCluster: "other"}})
		w.must(err)
		plugged, err := w.cloud.CreateInterface(ctx, root, cloudsim.CreateInterface{Subnet: w.subnets[0]})
		w.must(err)
		a, err := w.cloud.AttachInterface(ctx, root, cloudsim.AttachInterface{Interface: plugged.ID, Instance: string(w.instances[0]), Device: 1})
		w.must(err)
		others, err := w.cloud.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: w.subnets[0]})
		w.must(err)
		vpc, err := w.cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.99.0.0/16")})
		w.must(err)
		elsewhere, err := w.cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.99.0.0/24")})
		w.must(err)
		address, err := w.cloud.AllocateAddress(ctx, root, nil)
		w.must(err)
		second := "10.80.0.200"
		_, err = w.cloud.AssignIPv4(ctx, root, cloudsim.AssignIPv4{Interface: foreign.ID, Addrs: []netip.Addr{netip.MustParseAddr(second)}})
		w.must(err)
		ours := w.created("nic-0000000000000001")
		own, err := w.api.AllocateAddress(ctx, &sdk.AllocateAddressInput{TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeElasticIp, Tags: tagged(tagCluster, "cl-1")}}})
		w.must(err)
		w.refuseAll(map[string]func(context.Context, *sdk.Client) error{
			"delete": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.DeleteNetworkInterface(ctx, &sdk.DeleteNetworkInterfaceInput{NetworkInterfaceId: &foreign.ID})
				return err
			},
			"detach": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.DetachNetworkInterface(ctx, &sdk.DetachNetworkInterfaceInput{AttachmentId: &a.ID})
				return err
			},
			"attach a foreign one": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.AttachNetworkInterface(ctx, &sdk.AttachNetworkInterfaceInput{NetworkInterfaceId: &foreign.ID, InstanceId: awssdk.String(string(w.instances[0])), DeviceIndex: awssdk.Int32(2)})
				return err
			},
			"attach to a foreign instance": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.AttachNetworkInterface(ctx, &sdk.AttachNetworkInterfaceInput{NetworkInterfaceId: &ours.ProviderID, InstanceId: &others[0].ID, DeviceIndex: awssdk.Int32(1)})
				return err
			},
			"modify": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.ModifyNetworkInterfaceAttribute(ctx, &sdk.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &foreign.ID, Description: &types.AttributeValue{Value: awssdk.String("ours")}})
				return err
			},
			"make it ours": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.CreateTags(ctx, &sdk.CreateTagsInput{Resources: []string{foreign.ID}, Tags: tagged(tagCluster, "cl-1")})
				return err
			},
			"give ours another tag": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.CreateTags(ctx, &sdk.CreateTagsInput{Resources: []string{ours.ProviderID}, Tags: tagged(tagCluster, "other")})
				return err
			},
			"make an instance ours": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.CreateTags(ctx, &sdk.CreateTagsInput{Resources: []string{others[0].ID}, Tags: tagged(tagCluster, "cl-1")})
				return err
			},
			"make one without our tag": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.CreateNetworkInterface(ctx, &sdk.CreateNetworkInterfaceInput{SubnetId: &w.subnets[0]})
				return err
			},
			"make one in another VPC": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.CreateNetworkInterface(ctx, &sdk.CreateNetworkInterfaceInput{SubnetId: &elsewhere.ID, TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeNetworkInterface, Tags: tagged(tagCluster, "cl-1")}}})
				return err
			},
			"give a foreign one an address": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.AssignPrivateIpAddresses(ctx, &sdk.AssignPrivateIpAddressesInput{NetworkInterfaceId: &foreign.ID, SecondaryPrivateIpAddressCount: awssdk.Int32(1)})
				return err
			},
			"take a foreign one's address": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.AssignPrivateIpAddresses(ctx, &sdk.AssignPrivateIpAddressesInput{
					NetworkInterfaceId: &ours.ProviderID, PrivateIpAddresses: []string{second}, AllowReassignment: awssdk.Bool(true),
				})
				return err
			},
			"lead our address to a foreign one": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.AssociateAddress(ctx, &sdk.AssociateAddressInput{AllocationId: own.AllocationId, NetworkInterfaceId: &foreign.ID})
				return err
			},
			"lead a foreign address to ours": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.AssociateAddress(ctx, &sdk.AssociateAddressInput{AllocationId: &address.Allocation, NetworkInterfaceId: &ours.ProviderID})
				return err
			},
			"take a tag off": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.DeleteTags(ctx, &sdk.DeleteTagsInput{Resources: []string{ours.ProviderID}, Tags: []types.Tag{{Key: awssdk.String(tagCluster)}}})
				return err
			},
			"end an instance": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.TerminateInstances(ctx, &sdk.TerminateInstancesInput{InstanceIds: []string{string(w.instances[0])}})
				return err
			},
			"release a foreign address": func(ctx context.Context, c *sdk.Client) error {
				_, err := c.ReleaseAddress(ctx, &sdk.ReleaseAddressInput{AllocationId: &address.Allocation})
				return err
			},
		})
	})
}

// S3: a role that may too little is told so, with the action that it misses.
func TestS3_AMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openGuarded(t, cloudsim.Options{}, "read-only")
		_, err := w.Create(t.Context(), w.spec("nic-0000000000000001"))
		if !errors.Is(err, provider.ErrDenied) || !strings.Contains(err.Error(), "ec2:CreateNetworkInterface") || !strings.Contains(err.Error(), "role/nicferryd") {
			t.Errorf("%v; want it denied, with the action and who was refused", err)
		}
		if n := len(w.ours()); n != 0 {
			t.Errorf("%d NICs of ours were made", n)
		}
	})
}

// refuseAll wants each of the calls refused by the policies.
func (w *world) refuseAll(calls map[string]func(context.Context, *sdk.Client) error) {
	w.Helper()
	for name, call := range calls {
		err := call(w.Context(), w.api)
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "UnauthorizedOperation" {
			w.Errorf("%s: %v; want UnauthorizedOperation", name, err)
		}
	}
}

func tagged(key, value string) []types.Tag {
	return []types.Tag{{Key: &key, Value: &value}}
}
