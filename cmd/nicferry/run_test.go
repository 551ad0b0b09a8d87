package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/nic"
)

const runVF = "0000:01:10.3"

// A binding backend is a controller whose node makes reserved NICs ready, and whose
// containers come when docker is run.
type binding struct {
	*apitest.Backend
	docker string // what the fake has been told, once it has run
	// never: the node does not bind. refuses: the network has no VF left.
	never, refuses bool
	// adopts: the container gets the claim.
	adopts   bool
	acquired atomic.Int32
}

func (b *binding) Acquire(ctx context.Context, owner nic.Owner, container string, req nic.Request) (nic.Claim, error) {
	b.acquired.Add(1)
	claim, err := b.Backend.Acquire(ctx, owner, container, req)
	if err != nil || b.never {
		return claim, err
	}
	view := api.ClaimView{Claim: claim}
	if b.refuses {
		view.Phase, view.NIC = nic.ClaimRefused, ""
		view.Conditions = []nic.Condition{{Reason: nic.ReasonExhausted, Message: "no VF of ens1f0 is free"}}
		b.PutClaim(view)
		return view.Claim, nil
	}
	view.Identity.MAC, view.Identity.Addrs = nic.MAC{2, 0, 0, 0, 0, 9}, []netip.Prefix{netip.MustParsePrefix("10.9.0.7/24")}
	view.Observed = &nic.Observed{NIC: claim.NIC, Claim: claim.ID, State: nic.ObservedMade, Unstarted: true, Device: "/dev/vfio/12"}
	b.PutClaim(view)
	b.PutNIC(api.NICView{NIC: nic.NIC{
		ID: claim.NIC, Node: owner.Node, Seen: nic.Seen{Device: nic.Device{Kind: nic.SRIOV, VF: nic.VF{PCI: runVF, UserSpace: true}}},
	}})
	return claim, nil
}

func (b *binding) Claim(ctx context.Context, id nic.ClaimID) (api.ClaimView, error) {
	view, err := b.Backend.Claim(ctx, id)
	if _, told := os.Stat(b.docker); err == nil && told == nil && b.adopts {
		view.Owner.Kind, view.Epoch = nic.OwnerContainer, view.Epoch+1
	}
	return view, err
}

// A runRig is a command line beside that controller, and a docker that writes down what
// it is told and ends as it is told. It has the image dpdk
// for linux/amd64, cannot pull the image none, and pulls others.
type runRig struct {
	*binding
	out, errs bytes.Buffer
	address   string
	program   string
	asked     string // a file with what docker was told before it runs the container
}

func newRunRig(t *testing.T, dockerEnds int) *runRig {
	t.Helper()
	dir := t.TempDir()
	r := &runRig{binding: &binding{Backend: apitest.New(), docker: filepath.Join(dir, "told")}, program: filepath.Join(dir, "docker"), asked: filepath.Join(dir, "asked")}
	r.PutNetwork(api.NetworkView{Network: nic.Network{Name: "fast"}})
	r.PutNode(nic.Node{Schema: 1, Name: "n1"})
	script := fmt.Sprintf(`#!/bin/sh
case "$1" in
run)
	printf '%%s\n' "$@" > %[1]s
	exit %[2]d
esac
echo "$@" >> %[3]s
for image do :; done
case "$1 $image" in
pull\ none) echo "no such image" >&2; exit 1;;
pull\ *) echo "layers of $image";;
image\ dpdk) echo linux/amd64;;
*) exit 1
esac
`, r.docker, dockerEnds, r.asked)
	syscall.ForkLock.RLock() // no child has it open for writing, which is "text file busy"
	err := os.WriteFile(r.program, []byte(script), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	r.address = serveAt(t, server.Options{Backend: r.binding})
	return r
}

func (r *runRig) run(t *testing.T, args ...string) int {
	t.Helper()
	all := append([]string{"--controller", r.address, "run", "--node", "n1", "--docker", r.program}, args...)
	return newApp(&r.out, &r.errs).run(t.Context(), all)
}

// told is what docker was run with.
func (r *runRig) told() string {
	text, _ := os.ReadFile(r.docker) // not at all
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", " ")
}

func (r *runRig) claims(t *testing.T) int {
	t.Helper()
	all, err := r.Claims(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestRunGivesDockerTheDevices(t *testing.T) {
	t.Parallel()
	r := newRunRig(t, 0)
	r.adopts = true
	if code := r.run(t, "--on", "fast", "--name", "packets", "--", "--rm", "dpdk", "sh", "-c", "a b"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &r.errs)
	}
	want := "run --name packets --network none --label nicferry.network=fast --device /dev/vfio/12 --device /dev/vfio/vfio --ulimit memlock=-1:-1 " +
		"--env NICFERRY_PCI_ETH0=0000:01:10.3 --env NICFERRY_MAC_ETH0=02:00:00:00:00:09 --env NICFERRY_ADDRS_ETH0=10.9.0.7/24 --rm dpdk sh -c a b"
	if got := r.told(); got != want {
		t.Errorf("docker got\n%s, want\n%s", got, want)
	}
	if n := r.claims(t); n != 1 {
		t.Errorf("%d claims; want the container's", n)
	}
}

// What Docker does not begin gives the NIC back; what ends by itself has its own code.
func TestRunGivesTheNICBackWhereDockerFails(t *testing.T) {
	t.Parallel()
	r := newRunRig(t, dockerFailed)
	if code := r.run(t, "--on", "fast", "--", "dpdk"); code != dockerFailed {
		t.Errorf("exit code %d, want docker's", code)
	}
	if n := r.claims(t); n != 0 {
		t.Errorf("%d claims are left", n)
	}
	r = newRunRig(t, 3)
	r.adopts = true
	if code := r.run(t, "--on", "fast", "--", "dpdk"); code != 3 {
		t.Errorf("exit code %d, want the container's", code)
	}
	if n := r.claims(t); n != 1 {
		t.Errorf("%d claims; want the container's, which its agent ends", n)
	}
	r.program = "/no/docker"
	if code := newApp(&r.out, &r.errs).run(t.Context(), []string{"--controller", r.address, "run", "--node", "n1", "--docker", "/no/docker", "--on", "fast", "--", "dpdk"}); code != exitFailed {
		t.Errorf("without docker: exit code %d", code)
	}
}

// No NIC, or none in time: docker is not run, and nothing stays reserved.
func TestRunWithoutANIC(t *testing.T) {
	t.Parallel()
	r := newRunRig(t, 0)
	r.refuses = true
	if code := r.run(t, "--on", "fast", "--", "dpdk"); code != exitRefused || !strings.Contains(r.errs.String(), "no VF of ens1f0 is free") {
		t.Errorf("refused: exit code %d: %s", code, &r.errs)
	}
	r.refuses, r.never = false, true
	if code := r.run(t, "--on", "fast", "--timeout", "2s", "--", "dpdk"); code != exitTimedOut {
		t.Errorf("never bound: exit code %d: %s", code, &r.errs)
	}
	if n := r.claims(t); n != 0 || r.told() != "" {
		t.Errorf("%d claims are left, and docker was told %q", n, r.told())
	}
}

func TestRunDryPrintsWhatItWouldDo(t *testing.T) {
	t.Parallel()
	r := newRunRig(t, 0)
	if code := r.run(t, "--on", "fast", "--name", "p", "--interface", "net1", "--dry-run", "--", "--network", "bridge", "dpdk", "echo it's"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &r.errs)
	}
	want := r.program + " run --name p --label nicferry.nic.net1=network=fast --device /dev/vfio/GROUP --device /dev/vfio/vfio --ulimit memlock=-1:-1 " +
		`--env NICFERRY_PCI_NET1=PCI --env NICFERRY_MAC_NET1=MAC --env NICFERRY_ADDRS_NET1=ADDRS --network bridge dpdk 'echo it'\''s'` + "\n"
	if r.out.String() != want || r.told() != "" || r.claims(t) != 0 {
		t.Errorf("printed\n%s, want\n%s; docker was told %q, %d claims", &r.out, want, r.told(), r.claims(t))
	}
}

func TestRunRefusesWhatDockerWouldMisread(t *testing.T) {
	t.Parallel()
	r := newRunRig(t, 0)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--", "dpdk"}, "--on: which network"},
		{[]string{"--on", "fast"}, "which image?"},
		{[]string{"--on", "a b", "--", "dpdk"}, "--on: "},
		{[]string{"--on", "fast", "--interface", "a/b", "--", "dpdk"}, "--interface: "},
		{[]string{"--on", "fast", "--", "--name", "x", "dpdk"}, "nicferry's own --name"},
		{[]string{"--on", "fast", "--", "--label", "nicferry.network=slow", "dpdk"}, "nicferry run's to set"},
		{[]string{"--on", "fast", "--", "--network=bridge", "dpdk"}, "--interface net1"},
	} {
		r.errs.Reset()
		if code := r.run(t, c.args...); code != exitUsage || !strings.Contains(r.errs.String(), c.says) {
			t.Errorf("%q: exit code %d: %s; want %q", c.args, code, &r.errs, c.says)
		}
	}
	if r.told() != "" || r.claims(t) != 0 {
		t.Errorf("docker was told %q, %d claims", r.told(), r.claims(t))
	}
}
