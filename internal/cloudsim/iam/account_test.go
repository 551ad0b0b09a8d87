package iam_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

// scoped is a policy as ours are shaped: create with our tag and in our VPC,
// tag at birth alone, and touch what has our tag.
const scoped = `
{"Sid":"Read","Effect":"Allow","Action":"ec2:Describe*","Resource":"*"},
{"Sid":"Create","Effect":"Allow","Action":"ec2:CreateNetworkInterface","Resource":"arn:aws:ec2:*:*:network-interface/*",
 "Condition":{"StringEquals":{"aws:RequestTag/nicferry.io/cluster":"c1"},"ForAllValues:StringLike":{"aws:TagKeys":["nicferry.io/*","Name"]}}},
{"Sid":"Where","Effect":"Allow","Action":"ec2:CreateNetworkInterface","Resource":["arn:aws:ec2:*:*:subnet/*","arn:aws:ec2:*:*:security-group/*"],
 "Condition":{"ArnEquals":{"ec2:Vpc":"arn:aws:ec2:*:*:vpc/vpc-1"}}},
{"Sid":"TagAtBirth","Effect":"Allow","Action":"ec2:CreateTags","Resource":"arn:aws:ec2:*:*:network-interface/*",
 "Condition":{"StringEquals":{"ec2:CreateAction":"CreateNetworkInterface"}}},
{"Sid":"Touch","Effect":"Allow","Action":["ec2:AttachNetworkInterface","ec2:DetachNetworkInterface","ec2:DeleteNetworkInterface"],
 "Resource":"arn:aws:ec2:*:*:network-interface/*","Condition":{"StringEquals":{"aws:ResourceTag/nicferry.io/cluster":"c1"}}},
{"Sid":"Nodes","Effect":"Allow","Action":["ec2:AttachNetworkInterface","ec2:DetachNetworkInterface"],
 "Resource":"arn:aws:ec2:*:*:instance/*","Condition":{"StringEquals":{"aws:ResourceTag/nicferry.io/cluster":"c1"}}}`

const (
	ours   = "AKIAOURS"
	admin  = "AKIAADMIN"
	tag    = "nicferry.io/cluster"
	theARN = "arn:aws:ec2:eu-central-1:111122223333:"
)

// guarded is a cloud of two VPCs in which we may do what scoped says.
type guarded struct {
	*cloudsim.Cloud
	t *testing.T
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	account := &iam.Account{Region: "eu-central-1", ID: "111122223333"}
	account.Attach(ours, "user/nicferryd", policy(t, scoped))
	account.Attach(admin, "role/admin", policy(t, all))
	g := &guarded{cloudsim.New(cloudsim.Options{Policy: account}), t}
	t.Cleanup(g.Close)
	for n, id := range []string{"vpc-1", "vpc-2"} {
		cidr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 0}), 16)
		_, err := g.AddVPC(cloudsim.VPC{ID: id, CIDR: cidr})
		g.must(err)
		_, err = g.AddSubnet(cloudsim.Subnet{ID: "subnet-" + id, VPC: id, Zone: "eu-central-1a", CIDR: cidr})
		g.must(err)
		_, err = g.AddGroup(cloudsim.SecurityGroup{ID: "sg-" + id, Name: "one", VPC: id})
		g.must(err)
	}
	for id, tags := range map[string]cloudsim.Tags{"i-0aaaaaaaaaaaaaaa1": {tag: "c1"}, "i-0aaaaaaaaaaaaaaa2": {tag: "c2"}} {
		_, err := g.AddInstances(cloudsim.RunInstances{ID: id, Type: "m5.large", Subnet: "subnet-vpc-1", Tags: tags})
		g.must(err)
	}
	return g
}

func (g *guarded) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *guarded) create(caller, vpc string, tags cloudsim.Tags) (string, error) {
	i, err := g.CreateInterface(g.t.Context(), cloudsim.Call{Caller: caller}, cloudsim.CreateInterface{Subnet: "subnet-" + vpc, Groups: []string{"sg-" + vpc}, Tags: tags})
	return i.ID, err
}

// is fails unless err is a refusal of that action on that resource, or no error for "".
func (g *guarded) is(what string, err error, action, resource string) {
	g.t.Helper()
	if action == "" {
		if err != nil {
			g.t.Errorf("%s: %v", what, err)
		}
		return
	}
	e, ok := errors.AsType[*cloudsim.Error](err)
	words := "User: arn:aws:iam::111122223333:user/nicferryd is not authorized to perform: " + action + " on resource: " + theARN + resource
	if !ok || e.Code != "UnauthorizedOperation" || e.Status != 403 || !strings.Contains(e.Message, words) {
		g.t.Errorf("%s: %v\nwant %s", what, err, words)
	}
}

// S3: a role with such a policy makes NICs with our tag and in our VPC alone,
// and changes none but those. (That the policies we ship are such is another test.)
func TestS3_AScopedRoleTouchesTaggedNICsAlone(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	mine := cloudsim.Tags{tag: "c1", "Name": "web"}
	id, err := g.create(ours, "vpc-1", mine)
	g.is("create with our tag", err, "", "")
	_, err = g.create(ours, "vpc-1", nil)
	g.is("create without a tag", err, "ec2:CreateNetworkInterface", "network-interface/*")
	_, err = g.create(ours, "vpc-1", cloudsim.Tags{tag: "c2"})
	g.is("create with another's tag", err, "ec2:CreateNetworkInterface", "network-interface/*")
	_, err = g.create(ours, "vpc-1", cloudsim.Tags{tag: "c1", "team": "red"})
	g.is("create with a tag of others", err, "ec2:CreateNetworkInterface", "network-interface/*")
	_, err = g.create(ours, "vpc-2", mine)
	g.is("create in another VPC", err, "ec2:CreateNetworkInterface", "subnet/subnet-vpc-2")
	other, err := g.create(admin, "vpc-1", cloudsim.Tags{tag: "c2"})
	g.is("create by the admin", err, "", "")

	ctx, call := t.Context(), cloudsim.Call{Caller: ours}
	g.is("delete another's", g.DeleteInterface(ctx, call, other), "ec2:DeleteNetworkInterface", "network-interface/"+other)
	g.is("tag another's as ours", g.CreateTags(ctx, call, []string{other}, mine), "ec2:CreateTags", "network-interface/"+other)
	g.is("tag ours later", g.CreateTags(ctx, call, []string{id}, mine), "ec2:CreateTags", "network-interface/"+id)
	attach := func(id, instance string) (string, error) {
		a, err := g.AttachInterface(ctx, call, cloudsim.AttachInterface{Interface: id, Instance: instance, Device: 1})
		return a.ID, err
	}
	_, err = attach(other, "i-0aaaaaaaaaaaaaaa1")
	g.is("attach another's", err, "ec2:AttachNetworkInterface", "network-interface/"+other)
	_, err = attach(id, "i-0aaaaaaaaaaaaaaa2")
	g.is("attach to another's instance", err, "ec2:AttachNetworkInterface", "instance/i-0aaaaaaaaaaaaaaa2")
	a, err := attach(id, "i-0aaaaaaaaaaaaaaa1")
	g.is("attach", err, "", "")
	g.is("detach", g.DetachInterface(ctx, call, cloudsim.DetachInterface{Attachment: a}), "", "")
	g.is("delete", g.DeleteInterface(ctx, call, id), "", "")
	_, err = g.DescribeInterfaces(ctx, call, cloudsim.Describe{})
	g.is("describe", err, "", "")
}

// A dry run is refused as the deed would be, which is how a config is checked.
func TestDryRunTellsThePermission(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for caller, want := range map[string]string{admin: "DryRunOperation", ours: "UnauthorizedOperation"} {
		_, err := g.CreateInterface(t.Context(), cloudsim.Call{Caller: caller, DryRun: true}, cloudsim.CreateInterface{Subnet: "subnet-vpc-1"})
		if e, ok := errors.AsType[*cloudsim.Error](err); !ok || e.Code != want {
			t.Errorf("%s: %v, want %s", caller, err, want)
		}
	}
}

// Of what is not there only those hear who might act on it.
func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	missing := "eni-0123456789abcdef0"
	for caller, want := range map[string]string{ours: "InvalidNetworkInterfaceID.NotFound", admin: "InvalidNetworkInterfaceID.NotFound", "AKIANOBODY": "UnauthorizedOperation"} {
		err := g.DeleteInterface(t.Context(), cloudsim.Call{Caller: caller}, missing)
		if e, ok := errors.AsType[*cloudsim.Error](err); !ok || e.Code != want {
			t.Errorf("%s: %v, want %s", caller, err, want)
		}
	}
	account := &iam.Account{Region: "r", ID: "1"}
	account.Attach(ours, "user/u", policy(t, `{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}`))
	err := account.Allow(cloudsim.Call{Caller: ours, API: "DeleteNetworkInterface"}, nil)
	if r, ok := errors.AsType[*iam.Refusal](err); !ok || r.Resource != "*" || r.Denied {
		t.Errorf("an action that is never allowed, on nothing: %v", err)
	}
}

func TestAnExplicitDenyIsToldAsSuch(t *testing.T) {
	t.Parallel()
	account := &iam.Account{Region: "r", ID: "1"}
	account.Attach(ours, "role/web", policy(t, all), policy(t, `{"Effect":"Deny","Action":"ec2:Delete*","Resource":"*"}`))
	err := account.Allow(cloudsim.Call{Caller: ours, API: "DeleteNetworkInterface"}, []cloudsim.Resource{{Type: "network-interface", ID: "eni-1"}})
	want := "User: arn:aws:iam::1:role/web is not authorized to perform: ec2:DeleteNetworkInterface on resource: arn:aws:ec2:r:1:network-interface/eni-1 with an explicit deny in an identity-based policy"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := account.Allow(cloudsim.Call{Caller: ours, API: "DescribeSubnets"}, []cloudsim.Resource{{Type: "*"}}); err != nil {
		t.Error(err)
	}
}
