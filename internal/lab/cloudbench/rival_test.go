//go:build linux

package cloudbench

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// The pauses are those of the constants: written out here once more, without and with
// all of the jitter.
func TestPauses(t *testing.T) {
	t.Parallel()
	want := map[string][2]string{
		vpcCNI: {"0s 100ms 200ms 400ms 800ms 1.6s 3.2s 6.4s 12.8s 25.6s 51.2s 1m0s", "0s 115ms 230ms 460ms 920ms 1.84s 3.68s 7.36s 14.72s 29.44s 58.88s 1m9s"},
		terway: {"3s 3s 4.5s 6.75s 10.125s 15.1875s 22.78125s 34.171875s", "3s 4.5s 6.75s 10.125s 15.1875s 22.78125s 34.171875s 51.257813s"},
	}
	for _, r := range rivals() {
		for i, random := range []float64{0, 1} {
			var got []string
			for n := range r.seen.Tries {
				got = append(got, r.seen.pause(n, func() float64 { return random }).Round(time.Microsecond).String())
			}
			if s := strings.Join(got, " "); s != want[r.name][i] {
				t.Errorf("%s, %v:\ngot  %s\nwant %s", r.name, random, s, want[r.name][i])
			}
		}
		if !slices.ContainsFunc(constants(), func(c constant) bool { return c.rival == r.name && strings.Contains(c.source, "github.com/") }) {
			t.Errorf("nothing says where the constants of %s are from", r.name)
		}
	}
	look := rivals()[0].begin
	if least, most := look.pause(0, func() float64 { return 0 }), look.pause(0, func() float64 { return 1 }); least != 0 || most != 5*time.Second {
		t.Errorf("what is noticed every 5 s is noticed after %s to %s", least, most)
	}
}

// A rival has a NIC no sooner than the cloud, makes its calls once each, and what the
// cloud took is what it drew.
func TestRivals(t *testing.T) {
	t.Parallel()
	calls := map[string]string{
		vpcCNI: "CreateNetworkInterface DescribeInstances AttachNetworkInterface ModifyNetworkInterfaceAttribute",
		terway: "CreateNetworkInterface DescribeInstances AttachNetworkInterface DescribeNetworkInterfaces",
	}
	for _, r := range rivals() {
		synctest.Test(t, func(t *testing.T) {
			cloud, at := small(t)
			eni, took, err := r.start(t.Context(), cloud, at)
			log := cloud.Log(0)
			if err != nil {
				t.Fatal(err)
			}
			spentByCloud, ok := spent(log, eni)
			if !ok || spentByCloud < 3800*time.Millisecond || spentByCloud > 8800*time.Millisecond || took < spentByCloud || took > 40*time.Second {
				t.Errorf("%s took %s, of which the cloud %s, %v", r.name, took, spentByCloud, ok)
			}
			var made []string
			for _, e := range log {
				if e.API != "" && e.Caller == r.name && !slices.Contains(made, e.API) {
					made = append(made, e.API)
				}
			}
			if got := strings.Join(made, " "); got != calls[r.name] {
				t.Errorf("%s calls %s", r.name, got)
			}
			if c := count(log, r.name); c.mutating != strings.Count(calls[r.name], "Interface")-strings.Count(calls[r.name], "DescribeNetwork") || c.calls() != c.mutating+c.describes {
				t.Errorf("%s: %+v", r.name, c)
			}
		})
	}
}

// A NIC that does not come is told of, and is no time.
func TestRivalGivesUp(t *testing.T) {
	t.Parallel()
	for _, r := range rivals() {
		synctest.Test(t, func(t *testing.T) {
			cloud, at := small(t)
			if _, err := cloud.Inject(cloudsim.Fault{API: "AttachNetworkInterface", Verb: cloudsim.BackToAvailable}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := r.start(t.Context(), cloud, at); !errors.Is(err, errUnseen) {
				t.Errorf("%s: %v", r.name, err)
			}
		})
	}
}

// small is a cloud of one instance.
func small(t *testing.T) (*cloudsim.Cloud, place) {
	t.Helper()
	cloud := cloudsim.New(cloudsim.Options{Latency: latency()})
	t.Cleanup(cloud.Close)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	vpc, err := cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	must(err)
	group, err := cloud.AddGroup(cloudsim.SecurityGroup{Name: "g", Description: "g", VPC: vpc.ID})
	must(err)
	subnet, err := cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.0.0.0/24")})
	must(err)
	made, err := cloud.AddInstances(cloudsim.RunInstances{Type: crowdType, Subnet: subnet.ID})
	must(err)
	return cloud, place{made[0].ID, subnet.ID, group.ID}
}
