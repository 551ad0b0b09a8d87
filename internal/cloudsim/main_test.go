package cloudsim_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a cloud with one VPC, two subnets in two zones, and instances.
type world struct {
	*cloudsim.Cloud
	t    *testing.T
	call cloudsim.Call

	vpc           cloudsim.VPC
	near, far     cloudsim.Subnet // zones a and b
	group         cloudsim.SecurityGroup
	node, another cloudsim.Instance // m5.large in near; one NIC of three each
}

func newWorld(t *testing.T, o cloudsim.Options) *world {
	t.Helper()
	w := &world{Cloud: cloudsim.New(o), t: t, call: cloudsim.Call{Caller: "AKIATEST"}}
	t.Cleanup(w.Close)
	w.vpc = must(w.AddVPC(cloudsim.VPC{ID: "vpc-1", CIDR: netip.MustParsePrefix("10.0.0.0/16"), CIDR6: netip.MustParsePrefix("2001:db8::/56")}))(t)
	w.near = must(w.AddSubnet(cloudsim.Subnet{ID: "subnet-near", VPC: "vpc-1", Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.0.1.0/24"), CIDR6: netip.MustParsePrefix("2001:db8:0:1::/64")}))(t)
	w.far = must(w.AddSubnet(cloudsim.Subnet{ID: "subnet-far", VPC: "vpc-1", Zone: "eu-central-1b", CIDR: netip.MustParsePrefix("10.0.2.0/24")}))(t)
	w.group = must(w.AddGroup(cloudsim.SecurityGroup{ID: "sg-1", Name: "one", VPC: "vpc-1"}))(t)
	made := must(w.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: w.near.ID, Count: 2}))(t)
	w.node, w.another = made[0], made[1]
	return w
}

// must is the value, or the end of the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) create(r cloudsim.CreateInterface) cloudsim.Interface {
	w.t.Helper()
	if r.Subnet == "" {
		r.Subnet = w.near.ID
	}
	return must(w.CreateInterface(w.t.Context(), w.call, r))(w.t)
}

func (w *world) attach(id string, device int) cloudsim.Attachment {
	w.t.Helper()
	return must(w.AttachInterface(w.t.Context(), w.call, cloudsim.AttachInterface{Interface: id, Instance: w.node.ID, Device: device}))(w.t)
}

// get describes one interface by id.
func (w *world) get(id string) cloudsim.Interface {
	w.t.Helper()
	p := must(w.DescribeInterfaces(w.t.Context(), w.call, cloudsim.Describe{IDs: []string{id}}))(w.t)
	return p.Items[0]
}

// state is an interface's as the log says it, or the code of the error.
func (w *world) state(id string) string {
	w.t.Helper()
	p, err := w.DescribeInterfaces(w.t.Context(), w.call, cloudsim.Describe{IDs: []string{id}})
	if err != nil {
		return code(err)
	}
	if a := p.Items[0].Attachment; a != nil {
		return string(p.Items[0].Status) + "/" + string(a.Status)
	}
	return string(p.Items[0].Status)
}

// same compares, and shows the first difference.
func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
