package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// A check names what a network lacks, and makes nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := open(t, cloudsim.Options{})
	good := nic.Network{Name: "good", Cloud: nic.Cloud{Subnets: w.Nets[:], Groups: []string{w.Group}}}
	bad := nic.Network{Name: "bad", Cloud: nic.Cloud{
		Subnets: []string{"subnet-0123456789abcdef0"}, Groups: []string{"sg-0123456789abcdef0", w.Group, w.Group, w.Group, w.Group, w.Group},
	}}
	said := map[provider.Verdict]string{}
	for _, f := range w.Check(t.Context(), []nic.Network{good, bad}) {
		said[f.Verdict] += fmt.Sprintf("%s: %s: %s\n", f.Network, f.About, f.Message)
	}
	for verdict, wants := range map[provider.Verdict][]string{
		provider.Good: {
			": permission ec2:DescribeSubnets", "good: permission ec2:CreateNetworkInterface", "good: group " + w.Group,
			"good: subnet " + w.Nets[2] + ": in zone eu-central-1b, ",
		},
		provider.Bad:     {"bad: subnet subnet-0123456789abcdef0: there is none", "bad: group sg-0123456789abcdef0: there is none"},
		provider.Unknown: {"bad: quota: 6 groups", ": permission ec2:AttachNetworkInterface: cannot be tried"},
	} {
		for _, want := range wants {
			if !strings.Contains(said[verdict], want) {
				t.Errorf("%s: no %q in\n%s", verdict, want, said[verdict])
			}
		}
	}
	if strings.Contains(said[provider.Bad], "good:") {
		t.Errorf("faults:\n%s", said[provider.Bad])
	}
	if all, err := w.List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("it has made %v, %v", all, err)
	}
}

// A plan has the type's limits without its own interface, and what the subnets have.
func TestPlan(t *testing.T) {
	t.Parallel()
	w := open(t, cloudsim.Options{})
	spec := nic.Spec{Cloud: nic.CloudSpec{Subnets: w.Nets[:2], Forwards: true}}
	plan, err := w.Plan(t.Context(), spec, "m5.large")
	w.Must(err)
	if plan.Fresh.NICs != 3 || plan.Fresh.Free != 2 || len(plan.Bounds) != 1 || plan.Bounds[0].Room < 400 || plan.Bounds[0].Room > 510 || len(plan.Calls) != 4 {
		t.Errorf("%+v", plan)
	}
	spec.Cloud.Prefixes = 1
	if with, err := w.Plan(t.Context(), spec, ""); err != nil || with.Bounds[0].Room >= plan.Bounds[0].Room/16 || with.Fresh.NICs != 0 {
		t.Errorf("with prefixes %+v, %v", with, err)
	}
	if _, err := w.Plan(t.Context(), spec, "m5.none"); err == nil || !strings.Contains(err.Error(), "m5.none") {
		t.Errorf("an unknown type: %v", err)
	}
	spec.Cloud.Subnets = []string{"subnet-0123456789abcdef0"}
	if _, err := w.Plan(t.Context(), spec, ""); err == nil {
		t.Error("an unknown subnet has a plan")
	}
}

// Permissions that are missing are named by their actions.
func TestCheckNamesWhatIsNotPermitted(t *testing.T) {
	t.Parallel()
	for policies, want := range map[string]provider.Verdict{"read-only": provider.Bad, "read-only dynamic-eni": provider.Good} {
		w := openGuarded(t, cloudsim.Options{}, strings.Fields(policies)...)
		n := nic.Network{Name: "vpc", Cloud: nic.Cloud{Subnets: w.Nets[:1], Groups: []string{w.Group}}}
		got := provider.Verdict("")
		for _, f := range w.Check(t.Context(), []nic.Network{n}) {
			if f.About == "permission ec2:CreateNetworkInterface" {
				got = f.Verdict
			} else if f.Verdict == provider.Bad {
				t.Errorf("%s: %+v", policies, f)
			}
		}
		if got != want {
			t.Errorf("%s: making a NIC is %q, want %q", policies, got, want)
		}
	}
}

// Where addresses move, the right to assign them is tried on a NIC of ours: none gets
// one by that. Without such a NIC it cannot be tried, and where none moves it is not.
func TestCheckTriesToAssign(t *testing.T) {
	t.Parallel()
	for policies, want := range map[string]provider.Verdict{"read-only dynamic-eni": provider.Bad, "read-only dynamic-eni secondary-ip": provider.Good} {
		w := openGuarded(t, cloudsim.Options{}, strings.Fields(policies)...)
		found := func(such nic.Cloud) (all []provider.Verdict) {
			such.Subnets, such.Groups = w.Nets[:1], []string{w.Group}
			for _, f := range w.Check(t.Context(), []nic.Network{{Name: "vpc", Cloud: such}}) {
				if f.About == "permission ec2:AssignPrivateIpAddresses" {
					all = append(all, f.Verdict)
				}
			}
			return all
		}
		if got := found(nic.Cloud{Shared: true}); !slices.Equal(got, []provider.Verdict{provider.Unknown}) {
			t.Errorf("%s: before there is a NIC it is %q", policies, got)
		}
		before := w.Created(enitest.ID(0)).Addrs
		if got := found(nic.Cloud{}); len(got) > 0 {
			t.Errorf("%s: where no address moves it is %q", policies, got)
		}
		for _, such := range []nic.Cloud{{Shared: true}, {Movable: true}} {
			if got := found(such); !slices.Equal(got, []provider.Verdict{want}) {
				t.Errorf("%s: for %+v it is %q, want %q", policies, such, got, want)
			}
		}
		all, err := w.Get(t.Context(), enitest.ID(0))
		if w.Must(err); !slices.Equal(all[enitest.ID(0)].Addrs, before) {
			t.Errorf("%s: the NIC had %v, and has %v", policies, before, all[enitest.ID(0)].Addrs)
		}
	}
}
